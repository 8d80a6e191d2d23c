"""How many bytes a number takes, by Keras's dtype policy."""

from fvsearch.records import Record
from fvsearch.study.recipe import DType

FLOAT32 = 4
"""Bytes of a weight, a gradient, what an optimizer keeps, and an element of the last norm and of the logits, whatever the dtype policy."""


class Widths(Record, frozen=True):
    """Bytes that are kept under a dtype policy.

    Attributes:
        plain: An element of what matrix products read and write.
        twice: An element that float32 is wanted of as well: of the images, which come in it, and of what a norm reads, which computes in
            it. Where the policy's type is narrower there are two copies.
        score: An attention score, the mean of before and after the softmax, which is computed in float32.
        cast: A weight's copy in the type of matrix products; none where that is the weight's own.
    """

    plain: int
    twice: int
    score: int
    cast: int


WIDTHS: dict[DType, Widths] = {
    "float32": Widths(plain=4, twice=4, score=4, cast=0),
    "mixed_bfloat16": Widths(plain=2, twice=2 + 4, score=(4 + 2) // 2, cast=2),
}

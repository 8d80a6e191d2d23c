"""Habits: what of a cost is a backend's own way: what becomes of attention scores, of hidden units, of outputs."""

from typing import Literal, TypedDict

Attention = Literal["kept", "fused"]
"""Whether attention scores are kept for the backward pass, before and after the softmax, or made again from queries and keys."""

Outputs = Literal["freed", "held"]
"""Whether a block's output goes once it has been read, or stays to the end of an inference pass."""

SCORES: dict[Attention, int] = {"kept": 2, "fused": 0}
"""Numbers kept of each pair of a query and a key, a head: before and after the softmax, or none."""

HELD: dict[Outputs, int] = {"freed": 0, "held": 1}
"""Of a block's output, what stays to the end of an inference pass."""


class Habits(TypedDict):
    """What of `predict` is a backend's own way.

    Attributes:
        attention: What becomes of attention scores.
        hidden: Numbers kept of each hidden unit of an MLP.
        outputs: What becomes of the blocks' outputs in inference; in training the backward pass needs them.
    """

    attention: Attention
    hidden: int
    outputs: Outputs


COMMON = Habits(attention="kept", hidden=2, outputs="freed")
"""Scores and hidden units before and after softmax and activation."""

HABITS: dict[str, Habits] = {
    "jax": COMMON,
    # No kernel for gelu, and no compiler to make its pieces again: h, h / sqrt(2), the cumulative probability, and their product.
    "tensorflow": Habits(attention="kept", hidden=4, outputs="freed"),
    # Kernels for attention and gelu. It runs call by call, and Keras's functional model holds each layer's output until the last has run.
    "torch": Habits(attention="fused", hidden=2, outputs="held"),
}
"""By backend, as its CPU meter shows them."""

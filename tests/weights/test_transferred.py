"""What a user reads of a transfer."""

import pytest

from fvsearch.weights.transferred import Loaded, Resized, Skipped, Transferred

LOADED = tuple(Loaded(weight=f"stage0_block0_mlp/{name}", source=f"stage0_block0_mlp/{name}") for name in ("norm/gamma", "norm/beta"))
RESIZED = Resized(weight="positions/positions", source="positions/positions", from_grid=(4, 4), to_grid=(6, 8))
MISSING = tuple(Skipped(weight=f"stage1_block{block}_mlp/norm/beta", reason="missing", shape=(8,)) for block in range(4))
UNFIT = (
    Skipped(weight="head/kernel", reason="shape", shape=(8, 5), source_shape=(8, 3)),
    Skipped(weight="head/bias", reason="kernel", shape=(5,), source_shape=(5,)),
)


def transferred(**changes):
    return Transferred(**({"loaded": LOADED, "resized": (), "skipped": (), "unused": ()} | changes))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (transferred(), "All 2 weights came from the source."),
        (
            transferred(resized=(RESIZED,)),
            "All 3 weights came from the source, positions resized from 4x4 to 6x8 patches.",
        ),
        (
            transferred(skipped=UNFIT, unused=("head/kernel", "head/bias")),
            "2 of 4 weights came from the source. 2 stayed as they were: 2 that do not fit (head); "
            "of the source's 4, 2 went unused (head).",
        ),
        (
            transferred(skipped=(*MISSING, *UNFIT)),
            "2 of 8 weights came from the source. 6 stayed as they were: 4 that the source lacks "
            "(4 layers, stage1_block0_mlp to stage1_block3_mlp), 2 that do not fit (head).",
        ),
        (
            transferred(unused=("stage1_projection/kernel",), notes=("in 4 of the layers num_heads is 4, and 2 in the source",)),
            "All 2 weights came from the source. Of the source's 3, 1 went unused (stage1_projection). "
            "In 4 of the layers num_heads is 4, and 2 in the source.",
        ),
    ],
    ids=["all", "resized", "unfit", "missing", "notes"],
)
def test_a_summary_says_what_came_and_what_did_not(found, words):
    assert found.summary == words

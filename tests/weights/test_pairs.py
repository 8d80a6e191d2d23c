"""Which blocks pair, over depths alone; models are in test_transfer.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvsearch.weights.pairs import pair_blocks

depths = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def places(of):
    return [(stage, block) for stage, depth in enumerate(of) for block in range(depth)]


@pytest.mark.parametrize(
    ("source", "target", "pairs"),
    [
        ([4], [2, 2], {(0, 0): (0, 0), (0, 1): (0, 1), (1, 0): (0, 2), (1, 1): (0, 3)}),
        ([2, 2], [4], {(0, 0): (0, 0), (0, 1): (0, 1), (0, 2): (1, 0), (0, 3): (1, 1)}),
        ([3, 1], [2, 2], {(0, 0): (0, 0), (0, 1): (0, 1), (1, 0): (0, 2), (1, 1): (1, 0)}),
        ([3, 2], [2, 2], {(0, 0): (0, 0), (0, 1): (0, 1), (1, 0): (1, 0), (1, 1): (1, 1)}),
        ([1, 2], [2, 2], {(0, 0): (0, 0), (1, 0): (1, 0), (1, 1): (1, 1)}),
        ([3], [2, 2], {(0, 0): (0, 0), (0, 1): (0, 1), (1, 0): (0, 2)}),
        ([3], [2], {(0, 0): (0, 0), (0, 1): (0, 1)}),
    ],
)
def test_in_order_or_stage_by_stage(source, target, pairs):
    assert pair_blocks(source, target) == pairs


@given(source=depths, target=depths)
def test_no_block_is_taken_twice_and_as_many_pair_as_the_rule_allows(source, target):
    pairs = pair_blocks(source, target)
    assert set(pairs) <= set(places(target)) and set(pairs.values()) <= set(places(source))
    assert len(set(pairs.values())) == len(pairs)
    assert list(pairs) == sorted(pairs) and list(pairs.values()) == sorted(pairs.values())
    if sum(source) == sum(target):
        assert list(pairs) == places(target)
    elif len(source) != len(target):
        assert len(pairs) == min(sum(source), sum(target))
    assert {theirs: ours for ours, theirs in pairs.items()} == pair_blocks(target, source)

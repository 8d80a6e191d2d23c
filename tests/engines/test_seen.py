"""The set of suggestions by digests, against a set of the tuples."""

import random

from fvsearch.engines._seen import Seen


def test_it_holds_what_a_set_holds() -> None:
    rng = random.Random(0)
    seen, expected = Seen(), set()
    for _ in range(5_000):
        drawn = tuple(rng.randrange(10_000 if place == 2 else 4) for place in range(3))
        assert (drawn in seen) == (drawn in expected)
        seen.add(drawn)
        expected.add(drawn)
    assert len(seen) == len(expected) > 3_000
    assert all(one in seen for one in expected)

import itertools
import math
import statistics
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvsearch.meters.measured import Interval
from fvsearch.meters.rounds import LEAST_ROUNDS, SAMPLE_SECONDS, Runner, is_narrow, median_interval, paired_ratio, time_interleaved

times = st.lists(st.floats(0.1, 10), min_size=LEAST_ROUNDS, max_size=40)


def coverage(count: int, rank: int) -> float:
    """Of the interval between the rank-th smallest and rank-th largest of `count` samples, over every way they fall about the median."""
    inside = sum(math.comb(count, below) for below in range(rank, count - rank + 1))
    return inside / 2**count


def by_enumeration(count: int) -> int:
    """The largest rank that covers 95%, each of the 2^n ways that samples fall on either side of the median tried."""
    best = 0
    for rank in range(1, count // 2 + 1):
        held = sum(rank <= sum(sides) <= count - rank for sides in itertools.product((0, 1), repeat=count))
        if held >= 0.95 * 2**count:
            best = rank
    return best


@pytest.mark.parametrize("count", range(LEAST_ROUNDS, 15))
def test_the_interval_is_the_narrowest_pair_of_order_statistics_that_holds_the_median(count: int) -> None:
    interval = median_interval([float(value) for value in range(1, count + 1)])
    rank = by_enumeration(count)
    assert (interval.low, interval.high) == (rank, count + 1 - rank)


@pytest.mark.parametrize("count", [20, 50, 101, 400])
def test_one_rank_further_in_would_not_cover(count: int) -> None:
    rank = int(median_interval([float(value) for value in range(1, count + 1)]).low)
    assert coverage(count, rank) >= 0.95 > coverage(count, rank + 1)


@given(times)
def test_the_median_lies_in_its_interval(samples: list[float]) -> None:
    interval = median_interval(samples)
    assert min(samples) <= interval.low <= interval.median <= interval.high <= max(samples)


@given(times, st.randoms(use_true_random=False))
def test_order_does_not_matter(samples: list[float], random: "object") -> None:
    shuffled = list(samples)
    random.shuffle(shuffled)
    assert median_interval(shuffled) == median_interval(samples)


def test_five_samples_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 6 samples, but got 5"):
        median_interval([1.0] * 5)


@pytest.mark.parametrize(("low", "high", "narrow"), [(0.98, 1.02, True), (0.98, 1.04, False), (0.96, 1.01, False)])
def test_both_ends_must_be_near(low: float, high: float, narrow: bool) -> None:
    assert is_narrow(Interval(median=1.0, low=low, high=high)) is narrow


class Device:
    """A clock and runners that move it: what runs, how many steps, and how long a step takes each time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns: list[str] = []

    def clock(self) -> float:
        return self.now

    def runner(self, name: str, step_seconds: Callable[[], float]) -> Runner:
        def run(steps: int) -> None:
            self.turns.append(name)
            self.now += steps * step_seconds()

        return run


def steady(seconds: float) -> Callable[[], float]:
    return lambda: seconds


def noisy(seconds: float) -> Callable[[], float]:
    factors = itertools.cycle((0.7, 1.3))
    return lambda: seconds * next(factors)


def test_archs_take_turns_and_the_order_rotates() -> None:
    device = Device()
    time_interleaved([device.runner(name, noisy(1.0)) for name in "abc"], time_budget=0.0, clock=device.clock)
    assert device.turns[:6] == list("aabbcc")  # warm-up, one sample each to find out its length
    assert "".join(device.turns[6:]) == "abcbcacab" * 2


def test_the_seconds_of_a_step_are_told_whatever_a_sample_holds() -> None:
    device = Device()
    slow, fast = time_interleaved([device.runner("slow", steady(1.0)), device.runner("fast", steady(0.001))], 0.0, device.clock)
    assert slow == pytest.approx([1.0] * LEAST_ROUNDS)
    assert fast == pytest.approx([0.001] * LEAST_ROUNDS)


@pytest.mark.parametrize("held_up", [0.0, 0.02])
def test_a_sample_of_a_fast_arch_is_long_enough_to_time_also_where_the_warm_up_was_held_up(held_up: float) -> None:
    device = Device()
    lengths: list[int] = []

    def run(steps: int) -> None:
        device.now += steps * 0.001 + (held_up if len(lengths) < 2 else 0.0)
        lengths.append(steps)

    time_interleaved([run], 0.0, device.clock)
    assert lengths[:2] == [1, 1]
    assert len(set(lengths[-LEAST_ROUNDS:])) == 1
    assert lengths[-1] * 0.001 >= SAMPLE_SECONDS * (1 - 1e-9)
    assert lengths[-1] * 0.001 <= 2 * SAMPLE_SECONDS


def test_a_steady_device_needs_the_least_rounds_however_long_the_budget() -> None:
    device = Device()
    samples = time_interleaved([device.runner(name, steady(1.0)) for name in "ab"], time_budget=1e6, clock=device.clock)
    assert [len(taken) for taken in samples] == [LEAST_ROUNDS, LEAST_ROUNDS]


def test_a_noisy_arch_is_measured_until_the_time_is_spent_and_the_reference_with_it() -> None:
    device = Device()
    runners = [device.runner("reference", steady(1.0)), device.runner("steady", steady(1.0)), device.runner("noisy", noisy(1.0))]
    reference, rested, wide = time_interleaved(runners, time_budget=100.0, clock=device.clock)
    assert len(rested) == LEAST_ROUNDS
    assert len(reference) == len(wide) > 2 * LEAST_ROUNDS
    assert 100 <= device.now < 105


def drifting(device: Device, seconds: float) -> Callable[[], float]:
    """The machine has become twice as slow after a hundred seconds, three times after two hundred."""
    return lambda: seconds * (1 + device.now / 100)


def test_drift_that_spoils_each_arch_s_own_times_does_not_spoil_their_ratio() -> None:
    device = Device()
    reference, taken = time_interleaved(
        [device.runner("a", drifting(device, 1.0)), device.runner("b", drifting(device, 2.0))], 300.0, device.clock
    )
    assert not is_narrow(median_interval(reference))
    assert not is_narrow(median_interval(taken))
    ratio = paired_ratio(reference, taken)
    assert is_narrow(ratio)
    assert ratio.low <= 0.5 <= ratio.high
    assert len(reference) < 20, "the ratio's interval ends the rounds"


def test_an_arch_without_a_reference_is_measured_until_its_own_interval_is_narrow() -> None:
    device = Device()
    (alone,) = time_interleaved([device.runner("a", noisy(1.0))], 100.0, device.clock)
    assert 100 <= device.now < 103
    (steadily,) = time_interleaved([device.runner("a", steady(1.0))], 100.0, device.clock)
    assert len(steadily) == LEAST_ROUNDS < len(alone)


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=LEAST_ROUNDS, max_size=60))
def test_a_ratio_s_interval_is_scipy_s_for_the_median_of_the_rounds_ratios(rounds: list[tuple[float, float]]) -> None:
    """`quantile_test` has exact intervals by order statistics too, one side at a time: each side at 97.5% holds both at 95%."""
    from scipy.stats import quantile_test

    reference, taken = zip(*rounds, strict=True)
    ratio = paired_ratio(reference, taken)
    quotients = [before / after for before, after in rounds]
    low = quantile_test(quotients, alternative="greater").confidence_interval(0.975).low
    high = quantile_test(quotients, alternative="less").confidence_interval(0.975).high
    assert (ratio.low, ratio.high) == (pytest.approx(low), pytest.approx(high))
    assert ratio.median == pytest.approx(statistics.median(quotients))


def test_a_ratio_is_of_the_rounds_that_both_ran_in() -> None:
    reference = [2.0] * LEAST_ROUNDS + [100.0] * 3
    assert paired_ratio(reference, [1.0] * LEAST_ROUNDS) == Interval(median=2.0, low=2.0, high=2.0)
    with pytest.raises(ValueError, match="at least 6 samples, but got 5"):
        paired_ratio(reference, [1.0] * 5)


@pytest.mark.parametrize(("spread", "outliers"), [(0.01, 0.0), (0.04, 0.0), (0.04, 0.1)])
def test_ending_rounds_once_the_interval_is_narrow_costs_it_little_of_its_confidence(spread: float, outliers: float) -> None:
    """An interval looked at after every round until it is narrow holds the median less often than one of a fixed number of rounds."""
    random = Random(0)

    def step() -> float:
        return math.exp(random.gauss(0.0, spread) * (5 if random.random() < outliers else 1))

    held = 0
    for _ in range(400):
        device = Device()
        samples = time_interleaved([device.runner("reference", steady(1.0)), device.runner("noisy", step)], 120.0, device.clock)
        ratio = paired_ratio(*samples)
        held += ratio.low <= 1.0 <= ratio.high
    assert held / 400 > 0.92

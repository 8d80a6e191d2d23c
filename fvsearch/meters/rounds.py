"""Interleaved timing: every arch has its turn in every round, so that what slows the machine for a while slows all alike.

Archs are compared by the ratio within each round, not by the ratio of their medians: a machine that drifts widens each arch's own times,
but moves both sides of a pair together.

The statistics are distribution-free: a device's times are skewed and have outliers, and the median's interval by order statistics
asks for nothing but independent samples. Two things cost it some of its 95%: rounds end once it is narrow (simulated, it then holds the
median 93 to 97 times of 100), and a neighbour that comes and goes makes rounds alike, against which nothing helps but a quiet machine.
"""

import itertools
import math
import time
from collections.abc import Callable, Sequence

from fvsearch.meters.measured import Interval

Runner = Callable[[int], None]
"""Runs that many steps, and returns when the device has finished them."""

CONFIDENCE = 0.95
LEAST_ROUNDS = 6
"""The range of six samples is the first to hold the median with 95%: 1 - 2 / 2^6 = 97%."""

NARROW = 0.03
"""An arch is measured once its ratio to the reference (its own throughput, where it is alone) is known within this share, on both sides."""

SAMPLE_SECONDS = 0.03
"""A sample is as many steps as take at least about this long, so that waiting for the device at its end weighs little."""


def median_interval(samples: Sequence[float]) -> Interval:
    """The median of the samples, and its 95% interval by order statistics.

    The interval runs from the k-th smallest sample to the k-th largest, with the largest k that keeps the confidence: the
    population's median lies below the k-th smallest when fewer than k of n samples do, which has probability P(Binomial(n, 1/2) < k).

    Raises:
        ValueError: Fewer than six samples, which no 95% interval can be had from.
    """
    if len(samples) < LEAST_ROUNDS:
        raise ValueError(f"a median's interval needs at least {LEAST_ROUNDS} samples, but got {len(samples)}")
    ordered = sorted(samples)
    count = len(ordered)
    rank, tail = 0, 1  # tail = P(Binomial(n, 1/2) <= rank) * 2^n
    while 2 * tail <= (1 - CONFIDENCE) * 2**count:
        rank += 1
        tail += math.comb(count, rank)
    middle = count // 2
    median = ordered[middle] if count % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return Interval(median=median, low=ordered[rank - 1], high=ordered[count - rank])


def is_narrow(interval: Interval) -> bool:
    """Whether both ends lie within `NARROW` of the median."""
    return max(interval.high - interval.median, interval.median - interval.low) <= NARROW * interval.median


def paired_ratio(reference: Sequence[float], taken: Sequence[float]) -> Interval:
    """How many times as fast as the reference: the median and interval of its seconds over the arch's, round by round.

    Args:
        reference: Seconds a step, by round.
        taken: The arch's, of the same rounds; it may have rested in the last ones.

    Raises:
        ValueError: Fewer than six rounds.
    """
    return median_interval([before / after for before, after in zip(reference, taken, strict=False)])


def time_interleaved(runners: Sequence[Runner], time_budget: float, clock: Callable[[], float] = time.perf_counter) -> list[list[float]]:
    """Samples of the seconds per step of each runner, by round, taken in turns: a b c, b c a, c a b, ...

    Each is warmed up first. Rounds go on until every other runner's ratio to the first is narrow, or the time is spent, but never fewer
    than a median's interval needs. A runner whose ratio is narrow rests from then on, and its samples are those of the rounds before; the
    first, the reference, takes part in every round. Where it is alone, its own interval ends the rounds.

    Args:
        runners: They keep their order in the answer.
        time_budget: Seconds, warm-up counted in.
        clock: Seconds; a test may bring its own.
    """
    deadline = clock() + time_budget
    steps = [_steps_per_sample(runner, clock) for runner in runners]
    samples: list[list[float]] = [[] for _ in runners]
    active = list(range(len(runners)))
    for number in itertools.count():
        shift = number % len(active)
        for index in active[shift:] + active[:shift]:
            start = clock()
            runners[index](steps[index])
            samples[index].append((clock() - start) / steps[index])
        if number + 1 < LEAST_ROUNDS:
            continue
        wide = [index for index in active[1:] if not is_narrow(paired_ratio(samples[0], samples[index]))]
        done = not wide if len(runners) > 1 else is_narrow(median_interval(samples[0]))
        if done or clock() >= deadline:
            break
        active = [0, *wide]
    return samples


def _steps_per_sample(runner: Runner, clock: Callable[[], float]) -> int:
    """Warm up, and say how many steps make a sample."""
    runner(1)  # The first step may compile, allocate, or read its code from disk.
    steps = 1
    while True:
        start = clock()
        runner(steps)
        taken = max(clock() - start, 1e-6)
        if taken >= SAMPLE_SECONDS:
            return steps
        # A step that was held up told too much time: the next look, at more steps, finds out. At least twice as many, so it ends.
        steps = max(2 * steps, math.ceil(steps * SAMPLE_SECONDS / taken))

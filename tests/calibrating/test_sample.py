import itertools
import math
from collections import Counter

from calibrated import CONDITIONS, STUDY

from fvsearch.archs.layout import parse_layout
from fvsearch.calibrating.sample import designed_sample
from fvsearch.costs.conditions import Conditions, pattern
from fvsearch.library import load_study
from fvsearch.study import Proposer

QUICK = load_study("quickstart")


def test_every_stage_pattern_has_its_share() -> None:
    sample = designed_sample(QUICK, 25)
    counts = Counter(pattern(arch, QUICK.data.image_shape) for arch in sample)
    assert set(counts) == {(17, 17), (17, 9), (17, 17, 17), (17, 17, 9), (17, 9, 9), (17, 9, 5)}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_baseline_comes_first_and_no_arch_twice() -> None:
    sample = designed_sample(QUICK, 25)
    assert sample[0] == QUICK.baseline
    assert len({arch.arch_hash for arch in sample}) == 25


def test_the_sample_spans_more_than_as_many_drawn_at_random() -> None:
    conditions = Conditions.of(QUICK)
    memory = sorted(conditions.cost(arch).memory for arch in designed_sample(QUICK, 25))
    macs = sorted(conditions.cost(arch).macs for arch in designed_sample(QUICK, 25))
    assert memory[-1] > 8 * memory[0]
    assert macs[-1] > 30 * macs[0]
    assert max(math.log(after / before) for before, after in itertools.pairwise(macs)) < math.log(2.2), "no wide gap between"


def test_a_sample_is_the_beginning_of_a_larger_one_and_always_the_same() -> None:
    assert designed_sample(QUICK, 25)[:8] == designed_sample(QUICK, 8) == designed_sample(QUICK, 8)


def test_a_small_study_gives_what_it_has() -> None:
    one, two = (parse_layout(f"B{depth}(17, h32, m64, a4)", patch_size=2, image_size=8) for depth in (1, 3))
    listed = STUDY.with_settings(space=None, engine=Proposer(name="listed", archs=(one, STUDY.baseline, two, one)))
    sample = designed_sample(listed, 25)
    assert sample[0] == STUDY.baseline
    assert set(sample[1:]) == {one, two}
    assert len(sample) == 3


def test_patterns_are_told_apart_by_their_tokens() -> None:
    archs = [parse_layout(layout, patch_size=2, image_size=8) for layout in ("B1(17)-1(9)", "B2(17, m64)-3(9)", "B1(17)")]
    first, second, third = (pattern(arch, CONDITIONS.image_shape) for arch in archs)
    assert first == second == (17, 9)
    assert third == (17,)

"""Findings on made trainings, whose answer is known: found, not found, a tie, cannot tell, and what would tell."""

import msgspec
import pytest

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout, parse_layout
from fvsearch.library import load_study
from fvsearch.report.findings.evidence import Evidence
from fvsearch.report.findings.reading import read_findings
from fvsearch.report.verdicts import Aspect, Finding

EPOCHS = 10
NOISE = (-0.002, 0.0, 0.002)
"""Over three seeds: the interval of a difference reaches 0.0045 to each side."""


def arch(layout: str) -> Arch:
    """Of 16x16 images in patches of 4; width 768 and MLP 3072 where nothing is said."""
    return parse_layout(layout, patch_size=4, image_size=16)


def run(top1: float, train: float = 0.9, falls: float = 0.0, speed: float = 2.0) -> tuple[dict[str, float], ...]:
    """A training that comes close to its end within `speed` epochs, and falls back by so much in every other epoch."""
    scores = [top1 * (1 - 0.5 ** ((epoch + 1) / speed * 4)) - falls * (epoch % 2) for epoch in range(EPOCHS - 1)] + [top1]
    return tuple({"epoch": epoch, "top1": score, "train_top1": train} for epoch, score in enumerate(scores))


def trained(
    layout: str, top1: float, train: float = 0.9, share: float = 1.0, seeds: int = 3, costs: float = 1.0, **more: float
) -> Evidence:
    found = arch(layout)
    runs = tuple(run(top1 + noise, train + noise, **more) for noise in NOISE[:seeds])
    return Evidence(
        arch=found,
        layout=format_layout(found, 16),
        train_share=share,
        runs=runs,
        memory={"predicted": 100 * costs, "measured": 110 * costs},
        throughput={"predicted": 1000 / costs},
    )


BASE = trained("B4(17)", 0.70)


def findings(*evidence: Evidence) -> dict[int, Finding]:
    return {finding.number: finding for finding in read_findings((BASE, *evidence), arch("B4(17)"), EPOCHS)}


def aspect(number: int, index: int, *evidence: Evidence) -> Aspect:
    return findings(*evidence)[number].aspects[index]


def test_with_nothing_to_compare_no_finding_is_told_and_each_says_what_would_tell() -> None:
    found = findings()
    assert list(found) == [1, 2, 4, 5, 6]
    for finding in found.values():
        assert finding.verdict == "cannot tell"
        assert all(aspect.verdict == "cannot tell" and aspect.wanted and not aspect.comparisons for aspect in finding.aspects)
    assert found[2].aspects[0].wanted == "an arch pooled by mean, and the same pooled by max, each with two seeds or more"


@pytest.mark.parametrize(
    ("top1", "costs", "verdict"),
    [(0.695, 0.7, "found"), (0.66, 0.7, "not found"), (0.682, 0.7, "cannot tell"), (0.695, 1.1, "not found"), (0.73, 0.7, "found")],
)
def test_pooling_that_saves_costs_little_or_not(top1: float, costs: float, verdict: str) -> None:
    two = aspect(1, 0, trained("B2(17)-2(9)", top1, costs=costs))
    assert two.verdict == verdict
    assert two.comparisons[0].differences["validation top-1"].value == pytest.approx(top1 - 0.70)
    assert two.comparisons[0].note == f"memory {costs:.2f}x (measured), throughput {1 / costs:.2f}x (predicted)"
    assert aspect(1, 1, trained("B2(17)-1(9)-1(5)", top1, costs=costs)).verdict == verdict


def test_costs_that_are_not_known_leave_compression_untold() -> None:
    assert aspect(1, 0, msgspec.structs.replace(trained("B2(17)-2(9)", 0.7), memory={})).verdict == "cannot tell"


@pytest.mark.parametrize(
    ("top1", "verdict"), [(0.68, "found"), (0.72, "not found"), (0.701, "tie"), (0.695, "found"), (0.693, "found"), (0.709, "not found")]
)
def test_mean_against_max(top1: float, verdict: str) -> None:
    found = aspect(2, 0, trained("B2(17)-2(9, mean)", 0.70), trained("B2(17)-2(9, max)", top1))
    assert found.verdict == verdict
    assert found.comparisons[0].samples[0].means["validation top-1"].value == pytest.approx(0.70)
    assert [sample.role for sample in found.comparisons[0].samples] == ["mean", "max"]


def test_intervals_that_overlap_widely_cannot_tell() -> None:
    noisy = msgspec.structs.replace(trained("B2(17)-2(9, max)", 0.69), runs=tuple(run(top1) for top1 in (0.65, 0.69, 0.73)))
    found = aspect(2, 0, trained("B2(17)-2(9)", 0.70), noisy)
    assert (found.verdict, found.wanted) == (
        "cannot tell",
        "more seeds of these archs, or more images to validate on, if their intervals are to part",
    )


def test_one_seed_cannot_tell_and_the_arch_that_wants_another_is_named() -> None:
    found = aspect(2, 0, trained("B2(17)-2(9, mean)", 0.70), trained("B2(17)-2(9, max)", 0.60, seeds=1))
    assert (found.verdict, found.comparisons) == ("cannot tell", ())
    assert found.wanted == "a second seed or more of B2(17)-2(9, max)"


def test_pairs_that_disagree_cannot_tell() -> None:
    pairs = [
        trained("B2(17)-2(9)", 0.70),
        trained("B2(17)-2(9, max)", 0.68),
        trained("B3(17)-1(9)", 0.68),
        trained("B3(17)-1(9, max)", 0.70),
    ]
    assert [one.verdict for one in aspect(2, 0, *pairs).comparisons] == ["found", "not found"]
    assert aspect(2, 0, *pairs).verdict == "cannot tell"


def test_stride_4_is_less_stable_if_its_curve_falls_more() -> None:
    twice = trained("B2(17)-1(9)-1(5)", 0.70)
    assert aspect(2, 1, twice, trained("B2(17)-2(5)", 0.70, falls=0.05)).verdict == "found"
    assert aspect(2, 1, twice, trained("B2(17)-2(5)", 0.70)).verdict == "tie"


@pytest.mark.parametrize(
    ("layout", "index"), [("B4(17)-2(9)", 0), ("B6(17)", 0), ("B4(17, h1024)", 1), ("B4(17, m4096)", 2), ("B2(17, h1024)-2(9, h1024)", 1)]
)
def test_more_of_one_thing_over_fits_if_training_goes_up_and_validation_down(layout: str, index: int) -> None:
    twin = [trained("B2(17)-2(9)", 0.70)] if "-2(9, h" in layout else []
    if index == 0 and "-" in layout:
        twin, layout = [trained("B2(17)-2(9)", 0.70)], "B2(17)-2(9)-2(5)"
    assert aspect(4, index, *twin, trained(layout, 0.68, 0.95)).verdict == "found"
    assert aspect(4, index, *twin, trained(layout, 0.72, 0.95)).verdict == "not found"
    assert aspect(4, index, *twin, trained(layout, 0.68, 0.85)).verdict == "not found"
    assert aspect(4, index, *twin, trained(layout, 0.697, 0.95)).verdict == "not found"  # a tie in validation
    noisy = msgspec.structs.replace(trained(layout, 0.68), runs=tuple(run(top1, 0.95) for top1 in (0.66, 0.68, 0.71)))
    assert aspect(4, index, *twin, noisy).verdict == "cannot tell"


def test_wide_then_thin_is_held_against_the_baseline_and_against_what_is_only_deeper_or_wider() -> None:
    twin, deeper = trained("B2(17)-2(9)", 0.70), trained("B2(17)-2(9)-2(5)", 0.69)
    thin = "B2(17, m4096)-2(9)-1(5, m1536)"
    good, bad = trained(thin, 0.70), trained(thin, 0.68)
    assert aspect(4, 3, twin, deeper, good).verdict == "found"
    assert aspect(4, 3, twin, deeper, bad).verdict == "not found"
    assert aspect(4, 4, twin, deeper, good).verdict == "found"
    assert aspect(4, 4, twin, deeper, bad).verdict == "not found"
    unsure = msgspec.structs.replace(trained("B2(17, h1024)-2(9, h1024)", 0.69), runs=tuple(run(top1) for top1 in (0.66, 0.69, 0.73)))
    assert aspect(4, 4, twin, deeper, unsure, good).verdict == "cannot tell"  # best of all is more than better than one


def test_mlp_against_width_is_asked_of_the_same_twin() -> None:
    twin, mlp, width = trained("B2(17)-2(9)", 0.7), trained("B2(17, m4096)-2(9)", 0.71), trained("B2(17, h1024)-2(9, h1024)", 0.69)
    found = aspect(4, 5, twin, mlp, width)
    assert (found.verdict, [sample.role for sample in found.comparisons[0].samples]) == ("found", ["larger MLPs", "wider"])
    assert aspect(4, 5, mlp, width).verdict == "cannot tell"


def test_convergence_takes_as_many_epochs_or_not() -> None:
    assert aspect(5, 0, trained("B2(17)-2(9)", 0.60)).verdict == "found"
    assert aspect(5, 0, trained("B2(17)-2(9)", 0.70, speed=6.0)).verdict == "not found"
    disagreement = aspect(5, 1, trained("B2(17)-2(9)", 0.60))
    assert disagreement.verdict == "cannot tell" and "image by image" in disagreement.wanted
    assert findings(trained("B2(17)-2(9)", 0.60))[5].verdict == "found in part"


def test_the_gap_falls_with_data_or_not() -> None:
    assert aspect(6, 0, trained("B4(17)", 0.5, 0.95, share=0.25)).verdict == "found"
    assert aspect(6, 0, trained("B4(17)", 0.5, 0.6, share=0.25)).verdict == "not found"
    half, quarter = trained("B4(17)", 0.6, 0.9, share=0.5), trained("B4(17)", 0.5, 0.95, share=0.25)
    assert [one.samples[0].train_share for one in aspect(6, 0, half, quarter).comparisons] == [0.25]


def test_a_larger_model_needs_more_data_if_what_it_wins_grows() -> None:
    small = trained("B4(17)", 0.60, share=0.25)
    larger, larger_on_less = trained("B6(17)", 0.74), trained("B6(17)", 0.59, share=0.25)
    found = aspect(6, 1, small, larger, larger_on_less)
    assert found.verdict == "found"
    assert found.comparisons[0].differences["validation top-1"].value == pytest.approx(0.04 - -0.01)
    assert aspect(6, 1, small, trained("B6(17)", 0.66), larger_on_less).verdict == "not found"
    assert aspect(6, 1, small, larger).verdict == "cannot tell"


def test_the_shipped_study_trains_what_every_claim_needs() -> None:
    study = load_study("reinvestment-shapes")
    assert study.confirm is not None and study.space is not None
    assert {arch.arch_hash for arch in study.confirm.archs} <= {arch.arch_hash for arch in study.listed_starts}
    evidence = [
        Evidence(arch=arch, layout=format_layout(arch, 16), train_share=share, runs=tuple(run(0.7 + noise) for noise in NOISE))
        for arch in (study.baseline, *study.confirm.archs)
        for share in (1.0, *study.confirm.train_shares)
    ]
    found = read_findings(evidence, study.baseline, EPOCHS)
    untold = [aspect.says for finding in found for aspect in finding.aspects if not aspect.comparisons]
    assert untold == ["they disagree on some images, both ways"]

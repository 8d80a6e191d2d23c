"""The figures, as data: what stands where, and what a hover says."""

import re
from pathlib import Path
from typing import Any

import msgspec
import plotly.graph_objects as go
import pytest
from ledgers import QUIET, STUDY, TRIALS, Trial, empty, fill

from fvsearch.report import plots
from fvsearch.report.look import DARK, HOVER_WIDTH, LIGHT
from fvsearch.report.numbers import Summary, summarise
from fvsearch.study import Objective


def trace(figure: go.Figure, name: str) -> Any:
    return next(one for one in figure.data if one.name == name)


def line(figure: go.Figure) -> Any:
    return next(one for one in figure.data if one.mode == "lines")


def test_memory_stands_in_mib_against_top1(summary: Summary) -> None:
    figure = plots.tradeoff(summary, "memory")
    front = trace(figure, "front")
    assert sorted(zip(front.x, front.y, strict=True)) == [(4.0, 0.90), (5.5, 0.93), (6.0, 0.95), (8.0, 0.97)]
    assert sorted(trace(figure, "dominated").x) == [5.0, 7.0, 9.0]
    assert figure.layout.xaxis.title.text == "peak memory, MiB"
    assert figure.layout.yaxis.title.text == "validation top-1"


def test_the_front_is_joined_by_a_staircase(summary: Summary) -> None:
    memory, throughput = line(plots.tradeoff(summary, "memory")), line(plots.tradeoff(summary, "throughput"))
    assert (memory.x, memory.line.shape) == ((4.0, 5.5, 6.0, 8.0), "hv")
    # To the right of a point one gets less than its throughput: the line falls at once.
    assert (throughput.x, throughput.line.shape) == ((2300, 3100, 3200, 4100), "vh")


def test_the_line_leaves_out_front_trials_that_another_beats_on_both_axes(tmp_path: Path) -> None:
    # Trial 9 is on the front for its memory; as measured it is slower than trial 2, which is better too.
    summary = summarise(fill(empty(tmp_path), quiet=QUIET | {9: (3000.0, 2990.0, 3010.0)}))
    assert line(plots.tradeoff(summary, "throughput")).x == (2300, 3100, 4100)
    assert line(plots.tradeoff(summary, "memory")).x == (4.0, 5.5, 6.0, 8.0)


def test_the_baseline_is_a_star(summary: Summary) -> None:
    star = trace(plots.tradeoff(summary, "memory"), "baseline")
    assert (star.x, star.y, star.marker.symbol) == ((10.0,), (0.96,), ("star",))


def test_infeasible_trials_have_a_mark_of_their_own(summary: Summary) -> None:
    figure = plots.tradeoff(summary, "memory")
    assert (trace(figure, "infeasible").x, trace(figure, "infeasible").marker.symbol) == ((7.5,), ("x",))
    untrained = trace(figure, "infeasible, not trained")
    # Trial 6 was measured before training; trial 12 ran out of memory, and stands at its prediction.
    assert (untrained.x, untrained.marker.symbol, untrained.yaxis) == ((12.0, 9.7), ("x", "x-open"), "y2")


def test_predicted_throughput_is_open_and_labelled(summary: Summary) -> None:
    figure = plots.tradeoff(summary, "throughput")
    predicted = trace(figure, "dominated (predicted)")
    assert set(predicted.marker.symbol) == {"circle-open"}
    assert sorted(predicted.x) == [2200, 2700, 3500]
    assert set(trace(figure, "front").marker.symbol) == {"circle"}
    assert not any(one.name == "dominated" for one in figure.data)


def test_before_the_quiet_pass_every_throughput_is_predicted(tmp_path: Path) -> None:
    figure = plots.tradeoff(summarise(fill(empty(tmp_path), quiet={})), "throughput")
    assert {one.name for one in figure.data if one.name} >= {"front (predicted)", "dominated (predicted)", "baseline (predicted)"}
    assert not any(symbol in ("circle", "star") for one in figure.data if one.name for symbol in one.marker.symbol)


def test_the_interval_of_a_measured_throughput_is_its_error_bar(summary: Summary) -> None:
    front = trace(plots.tradeoff(summary, "throughput"), "front")
    at = front.x.index(2300)
    assert (front.error_x.array[at], front.error_x.arrayminus[at], front.error_x.visible) == (30, 20, True)


def test_the_spread_over_repeats_is_an_error_bar_and_one_seed_has_none(summary: Summary, tmp_path: Path) -> None:
    assert trace(plots.tradeoff(summary, "memory"), "front").error_y.visible is False
    several = summarise(fill(empty(tmp_path, STUDY.with_settings(repeats=2)), TRIALS[:5]))
    bars = trace(plots.tradeoff(several, "memory"), "front").error_y
    assert (bars.visible, set(bars.array)) == (True, {0.01})


def test_a_hover_tells_trial_layout_values_and_both_costs(summary: Summary) -> None:
    front = trace(plots.tradeoff(summary, "memory"), "front")
    said = re.sub(r"\s*<br>\s*", " ", front.hovertext[front.x.index(8.0)])
    assert said.startswith("<b>trial 3</b> (front, best)")
    assert "B2(17, h48, m128, a3)-2(9, h48, m96, a3)" in said.replace("- ", "-")
    assert "validation top-1 97.0%" in said
    assert "memory: measured 8.00 MiB (0.80x) predicted 8.10 MiB (0.81x)" in said
    assert "throughput: measured 2,300 images/s (1.15x) predicted 2,400 images/s (1.20x)" in said


def test_a_hover_says_why_and_escapes_what_it_says(tmp_path: Path) -> None:
    harmful = msgspec.structs.replace(TRIALS[6], reason="<img src=x onerror=alert(1)> " + "over the budget " * 10)
    figure = plots.tradeoff(summarise(fill(empty(tmp_path), (TRIALS[0], harmful))), "memory")
    (said,) = trace(figure, "infeasible, not trained").hovertext
    assert "<img" not in said
    assert "&lt;img" in said
    assert all(len(one) <= HOVER_WIDTH + 12 for one in said.split("<br>"))


def test_the_budget_is_a_line_and_a_far_one_is_left_out(summary: Summary, tmp_path: Path) -> None:
    (limit,) = plots.tradeoff(summary, "memory").layout.shapes
    assert (limit.x0, limit.x1) == (10.0, 10.0)
    far = STUDY.with_settings(budget=msgspec.structs.replace(STUDY.budget, memory="8 GiB"))
    assert not plots.tradeoff(summarise(fill(empty(tmp_path, far))), "memory").layout.shapes


def test_gibibytes_are_used_where_they_read_better(tmp_path: Path) -> None:
    large = tuple(
        msgspec.structs.replace(one, memory=(one.memory or 0) * 1024, predicted=one.predicted * 1024, constraints={"memory": -0.1})
        for one in TRIALS[:4]
    )
    figure = plots.tradeoff(summarise(fill(empty(tmp_path), large)), "memory")
    assert figure.layout.xaxis.title.text == "peak memory, GiB"
    assert sorted(trace(figure, "front").x) == [4.0, 6.0, 8.0]


def test_the_hypervolume_has_a_point_for_each_ended_trial(summary: Summary) -> None:
    (curve,) = plots.hypervolume_over_trials(summary).data
    assert curve.x == tuple(range(1, 13))
    assert curve.y == tuple(one.value for one in summary.hypervolume.over_trials)


def test_learning_curves_are_of_front_and_baseline(summary: Summary) -> None:
    figure = plots.learning_curves(summary)
    assert {one.name.split()[1] for one in figure.data} == {"0", "1", "2", "3", "9"}
    best = next(one for one in figure.data if one.name == "trial 3 (best)")
    assert best.x == (1, 2, 3, 4, 5)
    assert best.y[-1] == 0.97


def test_a_loss_falls_and_its_front_too(tmp_path: Path) -> None:
    objectives = (Objective(name="loss", direction="minimize"), Objective(name="memory", direction="minimize"))
    figure = plots.tradeoff(summarise(fill(empty(tmp_path, STUDY.with_settings(objectives=objectives)))), "memory")
    assert line(figure).x == (4.0, 5.5, 6.0, 8.0)
    assert list(line(figure).y) == sorted(line(figure).y, reverse=True)
    assert figure.layout.yaxis.title.text == "validation loss"


@pytest.mark.parametrize("trials", [(), (TRIALS[11],), (TRIALS[6], TRIALS[12]), (TRIALS[7],)], ids=["empty", "running", "over", "failed"])
def test_where_nothing_was_trained_nothing_is_drawn(trials: tuple[Trial, ...], tmp_path: Path) -> None:
    summary = summarise(fill(empty(tmp_path), trials, quiet={}))
    assert not plots.tradeoff(summary, "memory").data
    assert not plots.tradeoff(summary, "throughput").data
    assert not plots.hypervolume_over_trials(summary).data
    assert not plots.learning_curves(summary).data


def test_every_light_colour_has_a_dark_one_and_no_two_are_the_same() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT)

"""What a front's points are worth by trainings that had no part in selecting them: means, intervals, ties, and which points were luck.

A search keeps the best of many values, and a value is good by its arch and by its seed. So what was selected is too good on average
(the winner's curse), and only fresh seeds tell by how much: every mean here is over those alone.
"""

import itertools
import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

from fvsearch import pareto
from fvsearch.fronts.rungs import learned_objective
from fvsearch.fronts.standing import Standing, minimised, turned
from fvsearch.records import Record
from fvsearch.report.intervals import Estimate, difference, mean
from fvsearch.search.confirmations import Confirmation
from fvsearch.study import LEARNED, Study
from fvsearch.training.energy import add_joules

Verdict = Literal["kept", "dropped", "tied"]


class Fresh(Record, frozen=True, kw_only=True):
    """One arch, trained again.

    Attributes:
        trial: Its number; none is an arch that the search did not try.
        place: Where the search left it: "front", "dominated" and so on; empty without a trial.
        searched: The first learned objective as the search found it; none where it did not.
        searched_seeds: Trainings that this is the mean of.
        mean: Of the fresh trainings, with Student's 95% interval; none where all failed. One training has no interval.
        values: Of each fresh training that did not fail, by repeat.
        means: Of every learned objective.
        failed: Fresh trainings that failed.
        memory: Measured peak bytes, of the trial or else of a fresh training.
        verdict: Of a point of the search's front, as `confirmed` defines it; empty for others.
        cheaper: The trial that a tied point is tied with, the cheapest in the first cost; none for others.
        ties: Other confirmed points of the search's front that this one cannot be told from.
    """

    trial: int | None
    layout: str
    arch_hash: str
    place: str
    is_baseline: bool
    searched: float | None
    searched_seeds: int
    mean: Estimate | None
    values: tuple[float, ...]
    means: dict[str, float]
    failed: int
    memory: float | None
    verdict: Verdict | Literal[""] = ""
    cheaper: int | None = None
    ties: tuple[int, ...] = ()

    @property
    def seeds(self) -> int:
        """Trainings in all, the search's own and the fresh ones, that did not fail."""
        return self.searched_seeds + len(self.values)


class Confirmed(Record, frozen=True, kw_only=True):
    """A front by fresh seeds.

    Attributes:
        rows: Front points first, best mean first; then the baseline and other archs.
        front: Trial numbers of the front by fresh means, best first.
        dropped: Points of the search's front that are not on it.
        tied: Points of the search's front that are on it and tied with a cheaper one.
        missing: Points of the search's front without a fresh value.
        flattered: How much better the search's values of its front points were than their fresh means, on average, in the objective's
            unit and so that more than 0 is flattery; none where there is none to compare.
        seconds: Device-seconds of all fresh trainings, the smaller shares of the training split counted in.
        joules: Energy that they took, "gpu" and "cpu", where they told it.
    """

    rows: tuple[Fresh, ...]
    front: tuple[int, ...]
    dropped: tuple[int, ...]
    tied: tuple[int, ...]
    missing: tuple[int, ...]
    flattered: float | None
    seconds: float
    joules: dict[str, float] = msgspec.field(default_factory=dict)

    @property
    def luck(self) -> tuple[int, ...]:
        """Points of the search's front that were luck: dropped or tied."""
        return (*self.dropped, *self.tied)

    def row(self, trial: int) -> Fresh | None:
        """Of a trial, if it was trained again."""
        return next((row for row in self.rows if row.trial == trial), None)


def confirmed(study: Study, found: Sequence[Standing], trainings: Sequence[Confirmation]) -> Confirmed | None:
    """What fresh seeds say of a front; none before there are any.

    The front by fresh means is that of all trials within budget that were trained again (the search's front, the baseline, and what was
    asked for beside them), each with the means of its fresh trainings in place of what the search learned; costs stay as they stand.

    Two archs tie where Welch's 95% interval of the difference of their fresh means contains 0; with one seed of either nothing can be
    told, and they do not tie. Intervals are of one comparison each: of twenty true differences of zero, one is expected to look real.

    A point of the search's front was luck in one of two ways:
        dropped: it is not on the front by fresh means: another, no dearer in any cost, is better by fresh means.
        tied: it is on that front, but ties with another trained again and within budget that is nowhere dearer and somewhere cheaper,
            so that what it costs more buys nothing that these seeds can show.
    The others are kept.
    """
    whole = [one for one in trainings if one.train_share == study.data.train_share]
    if not whole:
        return None
    by_hash = {standing.trial.arch_hash: standing for standing in found}
    groups = [list(group) for _, group in itertools.groupby(sorted(whole, key=_by_arch), key=lambda one: one.arch_hash)]
    rows = {group[0].arch_hash: _fresh(study, group, by_hash.get(group[0].arch_hash)) for group in groups}
    members = [s for s in found if s.place in ("front", "dominated") and _has_value(rows.get(s.trial.arch_hash))]
    on_front = _front(study, members, rows)
    selected = [standing for standing in found if standing.place == "front"]
    judged = {s.trial.arch_hash: _judged(study, s, members, rows, on_front) for s in selected if s in members}
    ordered = sorted((rows | judged).values(), key=lambda row: _order(study, row))
    flattery = [_flattery(study, row) for row in judged.values()]
    return Confirmed(
        rows=tuple(ordered),
        front=tuple(row.trial for row in ordered if row.trial is not None and row.trial in on_front),
        dropped=tuple(row.trial for row in ordered if row.trial is not None and row.verdict == "dropped"),
        tied=tuple(row.trial for row in ordered if row.trial is not None and row.verdict == "tied"),
        missing=tuple(s.number for s in selected if s not in members),
        flattered=statistics.fmean(flattery) if flattery else None,
        seconds=sum(sum(one.seconds.values()) for one in trainings),
        joules=add_joules(*(one.joules for one in trainings)),
    )


def _by_arch(one: Confirmation) -> tuple[str, int]:
    return one.arch_hash, one.repeat


def _fresh(study: Study, group: Sequence[Confirmation], standing: Standing | None) -> Fresh:
    learned, good = learned_objective(study), [one for one in group if not one.failed]
    values = [one.value(learned) for one in good]
    names = [o.name for o in study.objectives if o.name in LEARNED]
    return Fresh(
        trial=standing.number if standing else None,
        layout=group[0].layout,
        arch_hash=group[0].arch_hash,
        place=standing.place if standing else "",
        is_baseline=standing.trial.is_baseline if standing else False,
        # A trial that was stopped early has a value, but of less training.
        searched=standing.values.get(learned) if standing and standing.place != "stopped" else None,
        searched_seeds=len(standing.trial.repeats) if standing and standing.place != "stopped" and learned in standing.values else 0,
        mean=mean(values) if values else None,
        values=tuple(values),
        means={name: statistics.fmean(one.value(name) for one in good) for name in names} if good else {},
        failed=len(group) - len(good),
        memory=_memory(group, standing),
    )


def _memory(group: Sequence[Confirmation], standing: Standing | None) -> float | None:
    known = [standing.trial.measured] if standing else []
    return next((measured["memory"] for measured in [*known, *(one.measured for one in group)] if "memory" in measured), None)


def _has_value(row: Fresh | None) -> bool:
    return row is not None and row.mean is not None


def _front(study: Study, members: Sequence[Standing], rows: dict[str, Fresh]) -> set[int]:
    """Trial numbers of the front by fresh means."""
    points = [minimised(study, member.values | rows[member.trial.arch_hash].means) for member in members]
    return {members[index].number for index in pareto.front(points)}


def _judged(study: Study, standing: Standing, members: Sequence[Standing], rows: dict[str, Fresh], on_front: set[int]) -> Fresh:
    """A front point's row with its verdict and its ties."""
    row = rows[standing.trial.arch_hash]
    alike = [member for member in members if member is not standing and _tie(row, rows[member.trial.arch_hash])]
    cheaper = [member for member in alike if pareto.dominates(_costs(study, member), _costs(study, standing))]
    verdict: Verdict = "dropped" if standing.number not in on_front else "tied" if cheaper else "kept"
    cheapest = min(cheaper, key=lambda member: _costs(study, member)).number if verdict == "tied" else None
    ties = tuple(member.number for member in alike if member.place == "front")
    return msgspec.structs.replace(row, verdict=verdict, cheaper=cheapest, ties=ties)


def _tie(one: Fresh, other: Fresh) -> bool:
    found = difference(one.values, other.values)
    return found.low is not None and found.high is not None and found.low <= 0 <= found.high


def _costs(study: Study, standing: Standing) -> tuple[float, ...]:
    """Of the study's objectives, those that no training tells, turned so that less is better."""
    return tuple(turned(study, o.name, standing.values[o.name]) for o in study.objectives if o.name not in LEARNED)


def _flattery(study: Study, row: Fresh) -> float:
    """By how much the search's value of a front point is better than its fresh mean."""
    assert row.searched is not None, "a front point has a value"
    assert row.mean is not None, "only rows with fresh values are judged"
    learned = learned_objective(study)
    return turned(study, learned, row.mean.value) - turned(study, learned, row.searched)


def _order(study: Study, row: Fresh) -> tuple[bool, bool, float]:
    value = turned(study, learned_objective(study), row.mean.value) if row.mean else float("inf")
    return row.place != "front", not row.is_baseline, value

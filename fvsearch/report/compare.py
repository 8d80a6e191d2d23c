"""Two studies beside each other: their fronts, and their hypervolumes from one reference point over trials and over training-seconds.

The point comes from both studies' classes, budgets, spaces and baselines, never from their trials. Where these differ, what was taken for
both is said in a sentence.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from fvsearch import pareto
from fvsearch.archs.layout import format_layout
from fvsearch.costs.conditions import Conditions
from fvsearch.errors import ConfigError
from fvsearch.fronts.standing import Standing, ledger_standings, minimised
from fvsearch.fronts.volume import Hypervolume, Reference, Units, Won, baseline_units, hypervolume, in_units, reference
from fvsearch.ledger import Ledger
from fvsearch.records import Record, to_builtins
from fvsearch.report import words
from fvsearch.report.numbers import Row, Summary, summarise
from fvsearch.study import LEARNED, Study


class Point(Record, frozen=True, kw_only=True):
    """A front point as both studies' hypervolumes see it.

    Attributes:
        row: Of its own study.
        values: By objective: what is learned as it is, costs as multiples of a baseline's.
        dominated: Whether a front point of the other study dominates it.
    """

    row: Row
    values: dict[str, float]
    dominated: bool


class Side(Record, frozen=True, kw_only=True):
    """One of the two studies.

    Attributes:
        label: What it is called beside the other: its folder's name, or its path where both have one name.
        front: Best first.
        volume: From the common reference point.
        fresh: Volume of its front by fresh means, where its front was trained again.
        reaches: Training-seconds after which it had the volume that the other ended with; none where it never had.
        at_shorter: Its volume after as many training-seconds as the shorter of the two took.
    """

    label: str
    summary: Summary
    front: tuple[Point, ...]
    volume: Hypervolume
    fresh: float | None = None
    reaches: float | None = None
    at_shorter: float | None = None

    @property
    def train_seconds(self) -> float:
        """Spent on training, in trials that ended."""
        return self.volume.over_trials[-1].train_seconds if self.volume.over_trials else self.summary.bill.activities.get("train", 0.0)


class Comparison(Record, frozen=True, kw_only=True):
    """Two studies.

    Attributes:
        reference: The point that both volumes are measured from.
        shorter: Training-seconds of the study that took fewer; none where a volume is missing.
        differences: What differs between them and what was taken for both, a sentence each.
    """

    first: Side
    second: Side
    reference: Reference
    shorter: float | None
    differences: tuple[str, ...]

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both."""
        return self.first, self.second

    def to_json(self) -> str:
        """One JSON document, unrounded."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()


def compare(first: Ledger, second: Ledger) -> Comparison:
    """Two studies as their ledgers have them now.

    Raises:
        ConfigError: They differ in objectives or in the number of classes.
    """
    _require_comparable(first, second)
    ledgers = (first, second)
    studies = (first.study, second.study)
    found = (ledger_standings(first), ledger_standings(second))
    units = (baseline_units(found[0]), baseline_units(found[1]))
    alike = _same_baseline(*studies)
    points = (reference(studies[0]), reference(studies[1]))
    if not alike:
        # One baseline's units for both; where the first has none yet, there is no volume to take.
        points = (points[0], _in_other_units(studies[1], points[1], units[1], units[0]))
        units = (units[0], units[0])
    common = _worse(studies[0], *points)
    volumes = [hypervolume(study, where, common, unit) for study, where, unit in zip(studies, found, units, strict=True)]
    fronts = [_front(study, where, unit) for study, where, unit in zip(studies, found, units, strict=True)]
    summaries = (summarise(first), summarise(second))
    shorter = min(volume.over_trials[-1].train_seconds for volume in volumes) if all(v.over_trials for v in volumes) else None
    sides = []
    for index, (ledger, summary) in enumerate(zip(ledgers, summaries, strict=True)):
        own, other = volumes[index], volumes[1 - index]
        sides.append(
            Side(
                label=ledger.folder.name if first.folder.name != second.folder.name else str(ledger.folder),
                summary=summary,
                front=_points(studies[0], summary, fronts[index], fronts[1 - index]),
                volume=own,
                fresh=_fresh_volume(studies[index], summary, found[index], common, units[index]),
                reaches=reached(own.over_trials, other.value) if other.value else None,
                at_shorter=volume_after(own.over_trials, shorter) if shorter is not None else None,
            )
        )
    return Comparison(
        first=sides[0],
        second=sides[1],
        reference=common,
        shorter=shorter,
        differences=_differences(studies, summaries, points, common, alike),
    )


def volume_after(won: Sequence[Won], train_seconds: float) -> float:
    """The volume that trials had won which ended within so many training-seconds."""
    return max((one.value for one in won if one.train_seconds <= train_seconds), default=0.0)


def reached(won: Sequence[Won], volume: float) -> float | None:
    """The training-seconds after which a volume was first reached; none where it never was."""
    return next((one.train_seconds for one in won if one.value >= volume * (1 - 1e-9)), None)


def _require_comparable(first: Ledger, second: Ledger) -> None:
    aims = [{o.name: o.direction for o in ledger.study.objectives} for ledger in (first, second)]
    if aims[0] != aims[1]:
        said = [", ".join(f"{direction} {name}" for name, direction in aim.items()) for aim in aims]
        raise ConfigError(
            f"two studies must have the same objectives to be compared, but {first.folder} has {said[0]}, and {second.folder} {said[1]}"
        )
    classes = [ledger.study.data.num_classes for ledger in (first, second)]
    if classes[0] != classes[1]:
        raise ConfigError(
            f"two studies must have the same number of classes to be compared, but {first.folder} has {classes[0]}, "
            f"and {second.folder} {classes[1]}"
        )


def _same_baseline(first: Study, second: Study) -> bool:
    """Whether one baseline does the same work in both, so that multiples of it compare, also across devices."""
    return _work(first) == _work(second)


def _work(study: Study) -> dict[str, Any]:
    """What the baseline's step depends on."""
    return {name: value for name, value in msgspec.structs.asdict(Conditions.of(study)).items() if name not in ("space", "archs")}


def _in_other_units(study: Study, point: Reference, own: Units | None, other: Units | None) -> Reference:
    """A reference point whose costs are multiples of another baseline, by the costs that both baselines were found to have."""
    if own is None or other is None:
        return point
    scaled = {}
    for name, value in point.point.items():
        quiet = name == "throughput" and own.quiet and other.quiet
        mine, theirs = (own.quiet, other.quiet) if quiet else (own.costs.get(name), other.costs.get(name))
        scaled[name] = value if name in LEARNED or not mine or not theirs else value * mine / theirs
    return msgspec.structs.replace(point, point=scaled)


def _worse(study: Study, first: Reference, second: Reference) -> Reference:
    """In each objective the worse of two."""
    worse: dict[str, Callable[..., float]] = {o.name: min if o.direction == "maximize" else max for o in study.objectives}
    point = {name: worse[name](first.point[name], second.point[name]) for name in worse}
    origin = {name: (first if point[name] == first.point[name] else second).origin[name] for name in worse}
    return Reference(point=point, origin=origin)


def _front(study: Study, found: Sequence[Standing], units: Units | None) -> dict[int, dict[str, float]]:
    """A study's front in common units, by trial."""
    return {s.number: in_units(study, s, units) for s in found if s.place == "front"} if units else {}


def _points(study: Study, summary: Summary, front: dict[int, dict[str, float]], other: dict[int, dict[str, float]]) -> tuple[Point, ...]:
    against = [minimised(study, values) for values in other.values()]
    return tuple(
        Point(
            row=row,
            values=front[row.number],
            dominated=any(pareto.dominates(one, minimised(study, front[row.number])) for one in against),
        )
        for row in summary.front
        if row.number in front
    )


def _fresh_volume(study: Study, summary: Summary, found: Sequence[Standing], point: Reference, units: Units | None) -> float | None:
    """Volume of the front by fresh means; none where nothing was trained again, or there are too many objectives."""
    if summary.confirmed is None or units is None or not summary.hypervolume.over_trials:
        return None
    values = []
    for standing in found:
        row = summary.confirmed.row(standing.number) if standing.number in summary.confirmed.front else None
        if row is not None:
            values.append(minimised(study, in_units(study, standing, units) | row.means))
    return pareto.hypervolume(values, minimised(study, point.point))


def _differences(
    studies: tuple[Study, Study], summaries: tuple[Summary, Summary], points: tuple[Reference, Reference], common: Reference, alike: bool
) -> tuple[str, ...]:
    """A sentence for each thing that a reader should know before comparing."""
    facts = [summary.facts for summary in summaries]
    said = []
    for name, texts in {
        "Spaces": [fact.space for fact in facts],
        "Budgets": [_budget(study) for study in studies],
        "Engines": [fact.engine for fact in facts],
    }.items():
        if texts[0] != texts[1]:
            said.append(f"{name} differ: {texts[0]}, and {texts[1]}.")
    moved = [name for name in common.point if points[0].point[name] != points[1].point[name]]
    if moved:
        parts = [f"{words.NAMES[n]} {words.ratio(points[0].point[n])} and {words.ratio(points[1].point[n])}" for n in moved]
        said.append(f"Of their reference points ({', '.join(parts)}) the worse is taken for both.")
    if not alike:
        layouts = [format_layout(study.baseline, study.data.image_shape[:2]) for study in studies]
        which = f" ({layouts[0]}, and {layouts[1]})" if layouts[0] != layouts[1] else ""
        said.append(f"Baselines{which} or what their step depends on differ: costs of both are in multiples of the first’s.")
    first, second = studies
    for name, changed in {"Data": _changed(first.data, second.data), "Recipes": _changed(first.recipe, second.recipe)}.items():
        if changed:
            said.append(f"{name} differ ({changed}): what is learned is of different trainings.")
    places = [f"{', '.join(fact.backends)} on {', '.join(fact.devices)}" for fact in facts]
    if places[0] != places[1]:
        how = "as multiples of each study’s own baseline they compare, raw they do not" if alike else "they do not compare"
        said.append(f"Memory and images/s were measured by {places[0]}, and by {places[1]}: {how}.")
    return tuple(said)


def _budget(study: Study) -> str:
    limits = [f"{words.NAMES[kind]} {text}" for kind in ("memory", "throughput") if (text := getattr(study.budget, kind))]
    return ", ".join(limits) or "none"


def _changed(first: Record, second: Record) -> str:
    """`epochs 5 and 10, batch_size 32 and 64`; empty where two records are equal."""
    before, after = to_builtins(first), to_builtins(second)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(f"{name} {before.get(name, 'none')} and {after.get(name, 'none')}" for name in names)

"""What a transfer study found: means over seeds of every way, what each differs by from the first, costs of the archs; in plain records."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from fvsearch.archs.layout import format_layout
from fvsearch.meters.measured import Measured
from fvsearch.records import Record
from fvsearch.report.intervals import Estimate, difference, mean
from fvsearch.report.verdicts import Verdict, is_above
from fvsearch.search.transferring import Costs, TransferResult, read_transfer
from fvsearch.study.transfer import Published, TransferStudy, Way
from fvsearch.training.metrics import MetricsFile

Quantity = Literal["train_top1", "top1", "top5", "test_top1"]


class Cost(Record, frozen=True, kw_only=True):
    """What an arch's training step costs in a phase, measured.

    Attributes:
        memory: Bytes.
        steps: Optimizer steps per second, with the interval of its median as low and high.
        memory_ratio: To the first arch's.
        steps_ratio: To the first arch's, paired by round.
    """

    memory: int
    steps: Estimate
    memory_ratio: float
    steps_ratio: Estimate


class ArchRow(Record, frozen=True, kw_only=True):
    """An arch and its pre-trainings.

    Attributes:
        layouts: In the paper's notation, at the image sizes of pre-training and fine-tuning.
        seeds: Pre-trainings that came to an end.
        means: Over them, by quantity.
        costs: Of pre-training and fine-tuning; none before they are measured.
    """

    name: str
    layouts: tuple[str, str]
    seeds: int
    means: dict[str, Estimate]
    costs: tuple[Cost, Cost] | None


class WayRow(Record, frozen=True, kw_only=True):
    """A way, over its seeds.

    Attributes:
        seeds: Fine-tunings that came to an end.
        failed: Those that did not, and why.
        means: By quantity; test_top1 is missing where the data has no test split.
        differs: Validation top-1, its mean less the first way's, with Welch's interval; none for the first way.
        verdict: Whether it is above the first way: "found" above, "not found" below, "tie" or "cannot tell".
        curve: Mean validation top-1 after each epoch of fine-tuning.
        published: What was published of it.
        published_differs: Validation top-1, the published number less the first way's.
        agrees: Whether the study finds the sign of the published difference.
    """

    pretrained: str
    finetuned: str
    seeds: int
    failed: tuple[str, ...]
    means: dict[str, Estimate]
    differs: Estimate | None
    verdict: Verdict | None
    curve: tuple[float, ...]
    published: Published | None
    published_differs: float | None
    agrees: Verdict | None

    @property
    def name(self) -> str:
        """`Funnel-ViT, then ViT`."""
        return f"{self.pretrained}, then {self.finetuned}"


class Transferred(Record, frozen=True, kw_only=True):
    """A transfer study as its report shows it.

    Attributes:
        done: Trainings that have ended, of the total.
    """

    study: TransferStudy
    folder: str
    done: int
    total: int
    archs: tuple[ArchRow, ...]
    ways: tuple[WayRow, ...]
    backends: tuple[str, ...]
    devices: tuple[str, ...]
    versions: dict[str, str]

    def to_json(self) -> str:
        """One JSON document: records as they are, archs and recipes counted in."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()


def summarise_transfer(folder: Path) -> Transferred:
    """The numbers of a transfer study's folder, finished or not.

    Raises:
        ConfigError: The folder holds no transfer study.
    """
    study, found, costs = read_transfer(folder)
    first = _values(_of(found, *study.ways[0]))
    published = {Way(one.pretrained, one.finetuned): one for one in study.published}
    summaries = [one.summary for one in found if one.summary]
    return Transferred(
        study=study,
        folder=str(folder),
        done=len(found),
        total=study.num_runs,
        archs=tuple(_arch_row(study, name, found, costs) for name in study.archs),
        ways=tuple(_way_row(folder, way, found, first, published, study.ways[0]) for way in study.ways),
        backends=tuple(sorted({one.backend for one in summaries})),
        devices=tuple(sorted({one.device for one in summaries})),
        versions=costs.pretraining.versions if costs else {},
    )


def _of(found: Sequence[TransferResult], pretrained: str, finetuned: str | None) -> list[TransferResult]:
    return [one for one in found if (one.pretrained, one.finetuned) == (pretrained, finetuned)]


QUANTITIES: dict[Quantity, Callable[[TransferResult], float | None]] = {
    "train_top1": lambda one: one.summary.last.train_top1 if one.summary else None,
    "top1": lambda one: one.summary.last.top1 if one.summary else None,
    "top5": lambda one: one.summary.last.top5 if one.summary else None,
    "test_top1": lambda one: one.summary.test.top1 if one.summary and one.summary.test else None,
}
"""Of a training's last epoch, and of the test split, which its run read once."""


def _values(several: Sequence[TransferResult]) -> dict[str, list[float]]:
    """By quantity, the values of the trainings that have one."""
    read = {name: [value for one in several if (value := take(one)) is not None] for name, take in QUANTITIES.items()}
    return {name: values for name, values in read.items() if values}


def _means(values: dict[str, list[float]]) -> dict[str, Estimate]:
    return {name: mean(several) for name, several in values.items()}


def _arch_row(study: TransferStudy, name: str, found: Sequence[TransferResult], costs: Costs | None) -> ArchRow:
    arch = study.archs[name]
    layouts = [format_layout(arch, phase.data.image_shape[:2]) for phase in (study.pretraining, study.finetuning)]
    several = _of(found, name, None)
    index = list(study.archs).index(name)
    measured = None
    if costs:
        sizes = (study.pretraining.recipe.batch_size, study.finetuning.recipe.batch_size)
        measured = (_cost(costs.pretraining, index, sizes[0]), _cost(costs.finetuning, index, sizes[1]))
    return ArchRow(
        name=name,
        layouts=(layouts[0], layouts[1]),
        seeds=sum(one.summary is not None for one in several),
        means=_means(_values(several)),
        costs=measured,
    )


def _cost(measured: Measured, index: int, batch_size: int) -> Cost:
    rate, ratio = measured.throughput[index], measured.ratio[index]
    return Cost(
        memory=measured.memory[index].bytes,
        steps=Estimate(value=rate.median / batch_size, low=rate.low / batch_size, high=rate.high / batch_size),
        memory_ratio=measured.memory[index].bytes / measured.memory[0].bytes,
        steps_ratio=Estimate(value=ratio.median, low=ratio.low, high=ratio.high),
    )


def _way_row(
    folder: Path,
    way: Way,
    found: Sequence[TransferResult],
    first: dict[str, list[float]],
    published: dict[Way, Published],
    first_way: Way,
) -> WayRow:
    several = _of(found, *way)
    values = _values(several)
    known, base = published.get(way), published.get(first_way)
    differs = difference(values["top1"], first["top1"]) if way != first_way and "top1" in values and "top1" in first else None
    said = known.top1 - base.top1 if known and base and way != first_way else None
    return WayRow(
        pretrained=way.pretrained,
        finetuned=way.finetuned,
        seeds=sum(one.summary is not None for one in several),
        failed=tuple(f"seed {one.index}: {one.reason}" for one in several if one.reason),
        means=_means(values),
        differs=differs,
        verdict=is_above(differs) if differs else None,
        curve=_curve(folder, several),
        published=known,
        published_differs=said,
        agrees=is_above(differs if said > 0 else _negative(differs)) if differs and said else None,
    )


def _negative(estimate: Estimate) -> Estimate:
    low, high = (None if end is None else -end for end in (estimate.high, estimate.low))
    return Estimate(value=-estimate.value, low=low, high=high)


def _curve(folder: Path, several: Sequence[TransferResult]) -> tuple[float, ...]:
    """Mean validation top-1 by epoch, of the trainings that came to an end."""
    curves = [[epoch.top1 for epoch in MetricsFile(folder / one.home / "metrics.jsonl").read()] for one in several if one.summary]
    return tuple(sum(values) / len(values) for values in zip(*curves, strict=False))

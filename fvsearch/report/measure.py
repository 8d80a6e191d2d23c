"""What `fvsearch measure` says: an arch's measured memory and images/s, as predicted beside it, and its ratio to another's."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout, stage_tokens
from fvsearch.costs.cost import Cost
from fvsearch.costs.formula import predict
from fvsearch.costs.habits import COMMON, HABITS, Habits
from fvsearch.library import load_arch
from fvsearch.meters.measured import Interval, Measured, MeasureRequest
from fvsearch.meters.rounds import CONFIDENCE, NARROW, is_narrow
from fvsearch.report import words
from fvsearch.study.budgets import Phase
from fvsearch.study.recipe import Recipe
from fvsearch.units import show_bytes, show_throughput

if TYPE_CHECKING:
    from rich.table import Table

PHASES: dict[str, tuple[Phase, ...]] = {"both": ("training", "inference"), "training": ("training",), "inference": ("inference",)}
"""By what a user asks for."""


def measure_requests(
    arch: str,
    against: str | None,
    *,
    image_size: int,
    patch_size: int,
    channels: int,
    classes: int,
    batch_size: int,
    dtype: Any,
    optimizer: Any,
    phase: str,
    seconds: float,
) -> tuple[MeasureRequest, ...]:
    """What to measure: a request for each phase, with `against`, where it is given, as the reference.

    Raises:
        ConfigError: An arch does not read or does not fit the image, or a setting is out of its range.
    """
    sources = [against, arch] if against else [arch]
    archs = tuple(load_arch(source, patch_size=patch_size, image_size=image_size) for source in sources)
    requests = tuple(
        MeasureRequest(
            archs=archs,
            image_shape=(image_size, image_size, channels),
            num_classes=classes,
            recipe=Recipe(epochs=1, batch_size=batch_size, dtype=dtype, optimizer=optimizer),
            batch_size=batch_size,
            phase=each,
            time_budget=seconds * len(archs),
        )
        for each in PHASES[phase]
    )
    for request in requests:
        for each_arch in archs:
            _predicted(request, each_arch)
    return requests


def measure_document(requests: Sequence[MeasureRequest], measured: Sequence[Measured], machine: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured as plain values, ready for JSON.

    Throughput is in images/s, memory in bytes at the peak of a step; `low` and `high` are the ends of the median's 95% interval. `ratio`
    is the arch's over that of `against`: of throughputs the median of the ratios within each round. `is_tie` says that the interval
    holds 1, `is_narrow` that it is as narrow as was aimed at. Of throughput a formula tells the ratio alone: that of the macs.

    Args:
        requests: Of one phase each, as `measure_requests` makes them.
        measured: Their answers.
        machine: What else the reader should know of the machine, such as its cores.
    """
    request, first = requests[0], measured[0]
    names = ("against", "arch")[-len(request.archs) :]
    height, _, channels = request.image_shape
    return {
        "source": "measurement",
        "backend": first.backend,
        "device": first.device,
        "versions": first.versions,
        "machine": dict(machine),
        "image_size": height,
        "channels": channels,
        "classes": request.num_classes,
        "batch_size": request.batch_size,
        "dtype": request.recipe.dtype,
        "optimizer": request.recipe.optimizer,
        "seed": request.seed,
        "seconds_per_arch": request.time_budget / len(request.archs),
        "confidence": CONFIDENCE,
        "narrow": NARROW,
        **{name: _describe(request, arch) for name, arch in zip(names, request.archs, strict=True)},
        "phases": {each.phase: _phase(each, found, names) for each, found in zip(requests, measured, strict=True)},
    }


def _describe(request: MeasureRequest, arch: Arch) -> dict[str, Any]:
    return {
        "layout": format_layout(arch, request.image_shape[:2]),
        "patch_size": arch.patch_size,
        "arch_hash": arch.arch_hash,
        "tokens": list(stage_tokens(arch, request.image_shape)),
    }


def _predicted(request: MeasureRequest, arch: Arch, habits: Habits = COMMON) -> Cost:
    return predict(
        arch,
        image_shape=request.image_shape,
        num_classes=request.num_classes,
        batch_size=request.batch_size,
        dtype=request.recipe.dtype,
        phase=request.phase,
        optimizer=request.recipe.optimizer,
        ema=request.recipe.ema is not None,
        accumulates=request.recipe.accumulate > 1,
        **habits,
    )


def _phase(request: MeasureRequest, measured: Measured, names: Sequence[str]) -> dict[str, Any]:
    """Of one phase, by name of the arch."""
    costs = [_predicted(request, arch, HABITS[measured.backend]) for arch in request.archs]
    found: dict[str, Any] = {
        name: {
            "memory": {"measured": memory.bytes, "source": memory.source, "predicted": cost.memory},
            "throughput": _interval(throughput),
        }
        for name, memory, throughput, cost in zip(names, measured.memory, measured.throughput, costs, strict=True)
    }
    if len(names) > 1:
        (reference, other), ratio = costs, measured.ratio[1]
        memory, reference_memory = found["arch"]["memory"], found["against"]["memory"]
        found["ratio"] = {
            "memory": {key: memory[key] / reference_memory[key] for key in ("measured", "predicted")},
            "throughput": _interval(ratio) | {"is_tie": ratio.low <= 1 <= ratio.high, "predicted": reference.macs / other.macs},
        }
    return found | {"seconds": measured.seconds}


def _interval(interval: Interval) -> dict[str, Any]:
    return {"median": interval.median, "low": interval.low, "high": interval.high, "is_narrow": is_narrow(interval)}


def measure_table(document: dict[str, Any]) -> "Table":
    """The document as a table: a section each phase, a row each arch, then the ratio where there are two."""
    from rich.table import Table

    versions = document["versions"]
    on = (
        f"{document['backend']} {versions[document['backend']]}, keras {versions['keras']}, on {_device(document)}; seed {document['seed']}"
    )
    table = Table(
        title=f"batch {document['batch_size']}, {document['image_size']} px, {document['dtype']}, {document['optimizer']}",
        caption="\n".join([on, *_notes(document)]),
        caption_justify="left",
    )
    table.add_column("step of", overflow="fold")
    for name in ("memory", "by formula", "images/s,\n95% interval", "by macs"):
        table.add_column(name, justify="right", no_wrap=True)
    for phase, found in document["phases"].items():
        table.add_row(f"[bold]{phase}[/bold]")
        for name in ("arch", "against"):
            if name in found:
                memory = found[name]["memory"]
                rate = _with_interval(found[name]["throughput"], _rate)
                table.add_row(document[name]["layout"], show_bytes(memory["measured"]), show_bytes(memory["predicted"]), rate, "")
        if "ratio" in found:
            memory, ratio = found["ratio"]["memory"], found["ratio"]["throughput"]
            table.add_row(
                "ratio: a tie" if ratio["is_tie"] else "ratio",
                _times(memory["measured"]),
                _times(memory["predicted"]),
                _with_interval(ratio, _times),
                _times(ratio["predicted"]),
            )
        table.add_section()
    return table


def _with_interval(found: dict[str, Any], show: Callable[[float], str]) -> str:
    """`858 (769-866)`."""
    return f"{show(found['median'])} ({show(found['low']).rstrip('x')}-{show(found['high']).rstrip('x')})"


def _rate(value: float) -> str:
    return show_throughput(value).removesuffix(" images/s")


def _times(value: float) -> str:
    return f"{value:.3f}x"


def _device(document: dict[str, Any]) -> str:
    cores = document["machine"].get("cores")
    return f"{document['device']} ({words.plural(cores, 'core')})" if document["device"] == "cpu" and cores else document["device"]


def _notes(document: dict[str, Any]) -> list[str]:
    """How memory was obtained, what a tie is, and where an interval is too wide."""
    sources: dict[str, list[str]] = {}
    for phase, found in document["phases"].items():
        sources.setdefault(found["arch"]["memory"]["source"], []).append(phase)
    notes = [f"memory of {' and '.join(phases)}: {source}" for source, phases in sources.items()]
    for phase, found in document["phases"].items():
        ratio = found.get("ratio", {}).get("throughput")
        if ratio and ratio["is_tie"]:
            notes.append(f"{phase}: the ratio's interval holds 1, so the two are as fast as each other as far as was measured")
        aimed = ratio or found["arch"]["throughput"]
        if not aimed["is_narrow"]:
            notes.append(
                f"{phase}: the time was spent before the interval was within {words.percent(document['narrow'], 0)} of its median; "
                "more --seconds, or a machine with nothing else to do, narrows it"
            )
    return notes

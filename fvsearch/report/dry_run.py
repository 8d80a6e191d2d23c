"""What `fvsearch run --dry-run` says: the size of the space, the feasible share, and the work that lies ahead."""

import random
from pathlib import Path
from typing import TYPE_CHECKING

from fvsearch.archs.layout import format_layout
from fvsearch.calibrating.choose import NONE
from fvsearch.calibrating.store import kept_for, load_calibration
from fvsearch.costs.feasibility import feasible_note, require_feasible
from fvsearch.costs.formula import predict
from fvsearch.costs.predictor import Predictor
from fvsearch.data import describe_source, obstacle
from fvsearch.engines import check_engine, engine_note
from fvsearch.report.facts import engine_name
from fvsearch.search.taking_over import open_source, starts_note
from fvsearch.study import Study
from fvsearch.units import show_bytes, show_count

if TYPE_CHECKING:
    from rich.table import Table

_DRAWN = 200


def dry_run_table(study: Study, calibration: str | None = None) -> "Table":
    """The study as it would run, by formula: nothing is built, measured or trained.

    Args:
        study: To run.
        calibration: A file that it would be predicted by, "none", or nothing: what is kept for the device.

    Raises:
        EmptySpaceError: Nothing in the space meets the budget.
        ConfigError: The engine cannot serve the study, there is no such kind of data source, or the folder that its warm start names
            holds no study.
    """
    from rich.table import Table
    from rich.text import Text

    check_engine(study)
    # Images, or a function of the user's, need not be there yet; that they are not is told.
    missing = obstacle(study.data)
    predictor = Predictor.unmeasured(study)
    require_feasible(study, predictor)
    size = study.data.image_shape[:2]
    table = Table(title=f"{study.name}: {study.description}", show_header=False, title_justify="left", min_width=60)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("space", repr(study.space.name) if study.space else "the study's list")
    table.add_row("", feasible_note(study, predictor))
    if rules := study.space and study.space.rules:
        table.add_row("rules", ", ".join(rules.laws().values()))
    table.add_row("budget", _budget(study))
    table.add_row("baseline", format_layout(study.baseline, size))
    base = predictor.baseline
    table.add_row(
        "", f"{show_count(base['num_params'])} parameters, {show_count(base['macs'])} macs, {show_bytes(base['memory'])} by formula"
    )
    table.add_row("objectives", ", ".join(f"{objective.direction} {objective.name}" for objective in study.objectives))
    table.add_row("engine", engine_name(study))
    if note := engine_note(study):
        table.add_row("", note)
    for note in _starts(study, predictor):
        table.add_row("", note)
    table.add_row("data", f"{describe_source(study.data)}: {study.data.num_classes} classes, {size[0]}x{size[1]}x{study.data.channels}")
    if missing:
        table.add_row("", Text(f"not ready: {missing}"))
    table.add_row("predictions", Text(_predictions(study, calibration)))
    table.add_row("work", _work(study, predictor))
    return table


def _starts(study: Study, predictor: Predictor) -> list[str]:
    """What is evaluated first, in a sentence each."""
    listed = study.listed_starts
    notes = [starts_note(study, [arch for arch in listed if not predictor.meets(arch)])]
    if listed:
        notes.insert(0, f"evaluated first: {len(listed)} warm start{'s' if len(listed) > 1 else ''}")
    elif other := open_source(study):
        notes = [f"takes over what fits of the {len(other.trials())} trials of {study.engine.warm_start}"]
        other.close()
    first = 1 + len(listed)
    # The front engine counts what else was evaluated as starts.
    first = max(first, study.engine.num_starts) if study.engine.name == "front" else first + study.engine.num_starts
    if study.space and first >= study.trials:
        notes.append(
            f"the engine is never asked: baseline, warm starts and starts are {first} archs, and {study.trials} trials are asked for"
        )
    return [note for note in notes if note]


def _budget(study: Study) -> str:
    limits = [f"{kind} {getattr(study.budget, kind)}" for kind in study.budget.limits()]
    at = f"{study.budget.phase}, batch {study.cost_batch_size}, {study.recipe.dtype}"
    return f"{' and '.join(limits) or 'none'} ({at})"


def _predictions(study: Study, wanted: str | None) -> str:
    """What `run` may predict by; whether device, backend and versions fit is known when it starts."""
    if wanted not in (None, NONE):
        return f"by formula here; by {load_calibration(Path(wanted)).text} if the device fits"
    kept = [calibration.text for calibration in kept_for(study)] if wanted is None else []
    if not kept:
        return "by formula, scaled by the baseline's measurement; `fvsearch calibrate STUDY` says how far that errs, and makes better ones"
    return f"by formula here; by what fits of {'; '.join(kept)}"


def _work(study: Study, predictor: Predictor) -> str:
    """The trials' work, in trainings of the baseline and in multiply-adds per image of the training split."""
    if study.space is None:
        archs = list(study.engine.archs)[: study.trials]
    else:
        rng = random.Random(study.seed)
        drawn = (study.space.sample(rng) for _ in range(100 * _DRAWN))
        meeting = (arch for arch in drawn if predictor.meets(arch))
        archs = [arch for arch, _ in zip(meeting, range(_DRAWN), strict=False)] or [study.baseline]
    mean = sum(predictor.costs(arch)["macs"] for arch in archs) / len(archs)
    trainings = study.trials * study.repeats * mean / predictor.baseline["macs"]
    shape = study.data.image_shape
    macs = predict(study.baseline, image_shape=shape, num_classes=study.data.num_classes, batch_size=1).macs
    # Backward costs twice the forward.
    per_image = 3 * macs * study.recipe.epochs * trainings
    return (
        f"{study.trials} trials of {study.recipe.epochs} epochs{f' x {study.repeats} seeds' if study.repeats > 1 else ''}: about "
        f"{trainings:.1f} trainings of the baseline, {show_count(per_image)} macs for each training image"
    )

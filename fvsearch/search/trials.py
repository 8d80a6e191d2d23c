"""A trial's life, as pure functions: from a candidate to segments, from their results to the record of its end."""

import math
import statistics
from collections.abc import Mapping
from pathlib import Path

import msgspec

from fvsearch.archs.layout import format_layout
from fvsearch.costs.predictor import Predictor
from fvsearch.fronts.rungs import Rung, judge
from fvsearch.ledger import Repeat, State, TrialRecord, now
from fvsearch.meters.measured import Anchor
from fvsearch.search.screening import Candidate
from fvsearch.study import LEARNED, Study
from fvsearch.study.budgets import allowed, violations
from fvsearch.training.energy import add_joules
from fvsearch.training.segment import Segment, SegmentResult, derive_seed


def new_trial(study: Study, candidate: Candidate, backend: str) -> TrialRecord:
    """The record of a candidate that is about to run; the ledger gives it its number."""
    arch = candidate.arch
    return TrialRecord(
        params=candidate.params,
        arch=arch,
        layout=format_layout(arch, study.data.image_shape[:2]),
        arch_hash=arch.arch_hash,
        predicted=candidate.predicted,
        target=candidate.epochs,
        backend=backend,
        started=now(),
    )


def on_backend(record: TrialRecord, backend: str) -> TrialRecord:
    """The record of an unfinished trial, to go on under a backend: one of another begins anew, for its numbers do not go on from there."""
    if record.backend == backend:
        return record
    return TrialRecord(
        number=record.number,
        params=record.params,
        arch=record.arch,
        layout=record.layout,
        arch_hash=record.arch_hash,
        predicted=record.predicted,
        target=record.target,
        backend=backend,
        started=record.started,
    )


def asked_again(record: TrialRecord, epochs: int | None) -> TrialRecord:
    """The record of a paused trial that its engine wants trained further: up to `epochs`, or to the end."""
    return msgspec.structs.replace(record, state="running", target=epochs, ended="")


def next_segment(study: Study, record: TrialRecord, anchor: Anchor, folder: Path) -> Segment:
    """What is to be trained next of a trial: its first repeat as far as the next rung, or a whole further repeat.

    What a repeat leaves is kept under the study's folder. Only first repeats have rungs and targets: an arch that passed them is worth
    the others.
    """
    done = record.epochs_done % study.recipe.epochs
    repeat = len(record.repeats) - (done > 0)
    stops = (*study.rung_epochs, record.target or study.recipe.epochs) if repeat == 0 else ()
    # The baseline is what others are compared with, also where the budget is below it.
    limit = None if record.is_baseline else study.budget.limits().get("memory")
    return Segment(
        arch=record.arch,
        data=study.data,
        recipe=study.recipe,
        seed=derive_seed(study.seed, record.arch_hash, repeat),
        from_epoch=done,
        to_epoch=min((epochs for epochs in stops if epochs > done), default=study.recipe.epochs),
        folder=str(folder / "trials" / f"{record.number:04d}" / f"repeat{repeat}"),
        max_memory=allowed("memory", limit, {"memory": anchor.memory}) if limit else None,
        phase=study.budget.phase,
        cost_batch_size=study.cost_batch_size,
    )


def with_result(
    study: Study, record: TrialRecord, result: SegmentResult, anchor: Anchor, predictor: Predictor, rungs: Mapping[int, Rung]
) -> TrialRecord:
    """The record with one more segment; it stays "running" unless there is nothing left to train, or how this ended ends the trial.

    Args:
        study: Whose trial.
        record: As the segment began.
        result: Of the segment that `next_segment` gave.
        anchor: The baseline on this device.
        predictor: Of throughput, for the constraints.
        rungs: Who reached each of the study's rungs, to judge this trial there; by the epochs after which it is.
    """
    record = _with_epochs(study, record, result)
    if result.status == "failed":
        return failed(record, record.reason)
    if result.status == "over_memory":
        # Where the device ran out, how far over it was is not known: say a whole budget.
        broken = {name: value for name, value in _constraints(study, record, anchor, predictor).items() if value > 0}
        return msgspec.structs.replace(record, state="infeasible", constraints=broken or {"memory": 1.0}, ended=now())
    done = record.epochs_done
    if done == study.recipe.epochs:
        return _valued(study, record, "completed", anchor, predictor) if len(record.repeats) == study.repeats else record
    if study.early_stopping and done in study.rung_epochs:
        decision = judge(study, study.early_stopping, record, rungs[done])
        record = msgspec.structs.replace(record, rungs=(*record.rungs, decision))
        if not decision.goes_on:
            return _valued(study, record, "stopped", anchor, predictor)
    return _valued(study, record, "paused", anchor, predictor) if done == record.target else record


def _with_epochs(study: Study, record: TrialRecord, result: SegmentResult) -> TrialRecord:
    """The record with what a segment trained: it goes on with the latest repeat where that is not at its end, else it is the next one."""
    unfinished = record.epochs_done % study.recipe.epochs > 0
    before = record.repeats[:-1] if unfinished else record.repeats
    spent = record.repeats[-1].seconds if unfinished else {}
    taken = record.repeats[-1].joules if unfinished else {}
    repeat = Repeat(
        seed=derive_seed(study.seed, record.arch_hash, len(before)),
        epochs=tuple(msgspec.to_builtins(epoch) for epoch in result.epochs),
        seconds={name: spent.get(name, 0.0) + result.seconds.get(name, 0.0) for name in spent | result.seconds},
        joules=add_joules(taken, result.joules),
    )
    return msgspec.structs.replace(
        record,
        repeats=(*before, repeat),
        measured=result.measured or record.measured,
        memory_source=result.memory_source or record.memory_source,
        device=result.device,
        versions=result.versions,
        reason="; ".join(filter(None, (result.reason, *result.notes))) or record.reason,
    )


def failed(record: TrialRecord, reason: str) -> TrialRecord:
    """The record of a trial that cannot be trained."""
    return msgspec.structs.replace(record, state="failed", reason=reason, ended=now())


def taken_over(study: Study, record: TrialRecord, anchor: Anchor, predictor: Predictor) -> TrialRecord:
    """A trial that another study trained to the end, or found over its budget, as this one would have ended it.

    Predictions, values and constraints are this study's, all else is as it was.
    """
    record = msgspec.structs.replace(record, predicted=predictor.costs(record.arch), values={}, spread={})
    if record.state == "infeasible":
        return msgspec.structs.replace(record, constraints=_constraints(study, record, anchor, predictor))
    return msgspec.structs.replace(_valued(study, record, "completed", anchor, predictor), ended=record.ended)


def _valued(study: Study, record: TrialRecord, state: State, anchor: Anchor, predictor: Predictor) -> TrialRecord:
    """The record of a trial that is trained as far as it will be: its values are those of the last epoch, means over the repeats."""
    last = [repeat.epochs[-1] for repeat in record.repeats]
    known = record.predicted | record.measured
    values, spread = {}, {}
    for name in (objective.name for objective in study.objectives):
        learned = [epoch[name] for epoch in last] if name in LEARNED else [known[name]]
        values[name] = statistics.fmean(learned)
        if len(learned) > 1:
            spread[name] = statistics.stdev(learned)
        if not math.isfinite(values[name]):
            return failed(record, f"{name} became {values[name]} in the last epoch")
    constraints = _constraints(study, record, anchor, predictor)
    return msgspec.structs.replace(record, state=state, values=values, spread=spread, constraints=constraints, ended=now())


def _constraints(study: Study, record: TrialRecord, anchor: Anchor, predictor: Predictor) -> dict[str, float]:
    """Against the budget: memory as measured, throughput as predicted, within the prediction's margin, until the quiet pass."""
    baseline = {"memory": anchor.memory, "throughput": anchor.throughput}
    predicted = predictor.violations({"throughput": record.predicted["throughput"]})
    return violations(study.budget, record.measured, baseline) | predicted

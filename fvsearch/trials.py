"""A trial's life, as pure functions: from a candidate to segments, from their results to the record of its end."""

import math
import statistics
from pathlib import Path

import msgspec

from fvsearch.budgets import allowed, violations
from fvsearch.feasibility import Predictor
from fvsearch.layout import format_layout
from fvsearch.ledger import Repeat, TrialRecord, now
from fvsearch.meters.measured import Anchor
from fvsearch.screening import Candidate
from fvsearch.study import LEARNED, Study
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
        backend=backend,
        started=now(),
    )


def next_segment(study: Study, record: TrialRecord, anchor: Anchor, folder: Path) -> Segment:
    """The training of a trial's next repeat; what it leaves is kept under the study's folder."""
    repeat = len(record.repeats)
    # The baseline is what others are compared with, also where the budget is below it.
    limit = None if record.is_baseline else study.budget.limits().get("memory")
    return Segment(
        arch=record.arch,
        data=study.data,
        recipe=study.recipe,
        seed=derive_seed(study.seed, record.arch_hash, repeat),
        to_epoch=study.recipe.epochs,
        folder=str(folder / "trials" / f"{record.number:04d}" / f"repeat{repeat}"),
        max_memory=allowed("memory", limit, {"memory": anchor.memory}) if limit else None,
        phase=study.budget.phase,
        cost_batch_size=study.cost_batch_size,
    )


def with_result(study: Study, record: TrialRecord, result: SegmentResult, anchor: Anchor, predictor: Predictor) -> TrialRecord:
    """The record with one more repeat; it stays "running" unless this was the last, or how the repeat ended ends the trial."""
    repeat = Repeat(
        seed=derive_seed(study.seed, record.arch_hash, len(record.repeats)),
        epochs=tuple(msgspec.to_builtins(epoch) for epoch in result.epochs),
        seconds=result.seconds,
    )
    record = msgspec.structs.replace(
        record,
        repeats=(*record.repeats, repeat),
        measured=result.measured or record.measured,
        memory_source=result.memory_source or record.memory_source,
        device=result.device,
        versions=result.versions,
        reason="; ".join(filter(None, (result.reason, *result.notes))),
    )
    if result.status == "failed":
        return failed(record, record.reason)
    if result.status == "over_memory":
        # Where the device ran out, how far over it was is not known: say a whole budget.
        broken = {name: value for name, value in _constraints(study, record, anchor, predictor).items() if value > 0}
        return msgspec.structs.replace(record, state="infeasible", constraints=broken or {"memory": 1.0}, ended=now())
    return _completed(study, record, anchor, predictor) if len(record.repeats) == study.repeats else record


def failed(record: TrialRecord, reason: str) -> TrialRecord:
    """The record of a trial that cannot be trained."""
    return msgspec.structs.replace(record, state="failed", reason=reason, ended=now())


def _completed(study: Study, record: TrialRecord, anchor: Anchor, predictor: Predictor) -> TrialRecord:
    """The record of a trial whose every repeat is trained: its values are those of the last epoch, means over the repeats."""
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
    return msgspec.structs.replace(record, state="completed", values=values, spread=spread, constraints=constraints, ended=now())


def _constraints(study: Study, record: TrialRecord, anchor: Anchor, predictor: Predictor) -> dict[str, float]:
    """Against the budget: memory as measured, throughput as predicted, within the prediction's margin, until the quiet pass."""
    baseline = {"memory": anchor.memory, "throughput": anchor.throughput}
    predicted = predictor.violations({"throughput": record.predicted["throughput"]})
    return violations(study.budget, record.measured, baseline) | predicted

"""What is measured with nothing else running: the baseline before a search, baseline and front after it."""

from collections.abc import Callable, Sequence

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout
from fvsearch.fronts.standing import front, standings
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.meters.measured import Anchor
from fvsearch.search.noting import note_measured
from fvsearch.search.workers import RunSettings, run_alone
from fvsearch.training.measuring import MeasureRequest, measure_anchor, measure_throughputs

MEASURE_SECONDS = 2.0
"""Time for measuring one arch's throughput, compile excluded."""


def take_anchor(ledger: Ledger, settings: RunSettings, tell: Callable[[str], None]) -> Anchor:
    """Build and measure the baseline, and keep its costs in the ledger: errors of model and device show here, in seconds.

    Args:
        ledger: Of the study.
        settings: How it is run.
        tell: Told what is going on.

    Raises:
        RunError: The baseline cannot be trained or measured on this device.
    """
    tell("measuring the baseline")
    study = ledger.study
    layout = format_layout(study.baseline, study.data.image_shape[:2])
    requests = [_request(ledger, [study.baseline])]
    (anchor,) = run_alone(settings, ledger.folder, study.resources, measure_anchor, requests, f"the baseline {layout}")
    ledger.set_anchor(anchor)
    return anchor


def ended_trials(ledger: Ledger) -> tuple[TrialRecord, ...]:
    """Every trial of a study that has ended, by number, without what its trainings came to: where it stands is told by the rest."""
    records = (entry.record for entry in ledger.history())
    ended = (msgspec.structs.replace(one, repeats=(), rungs=(), versions={}) for one in records if one.state not in ("running", "paused"))
    return tuple(sorted(ended, key=lambda record: record.number))


def measure_front(ledger: Ledger, settings: RunSettings, trials: tuple[TrialRecord, ...], tell: Callable[[str], None]) -> None:
    """The quiet pass: measure the throughput of baseline and front until every front point has been.

    A point that breaks the budget leaves the front, and what it dominated may enter: then again.

    Args:
        ledger: Of the study; what was measured before stands there.
        settings: How it is run.
        trials: All of the study that have ended.
        tell: Told what is going on.

    Raises:
        RunError: They cannot be measured on this device.
    """
    study, anchor = ledger.study, ledger.anchor()
    while True:
        quiet = ledger.quiet_pass()
        members = front(standings(study, trials, anchor, quiet))
        missing = [member.trial for member in members if member.number not in quiet.throughput and not member.trial.is_baseline]
        if not missing and (0 in quiet.throughput or not members):
            note_measured(ledger, trials)
            return
        tell(f"measuring {len(missing)} front points and the baseline, alone")
        archs = (study.baseline, *(trial.arch for trial in missing))
        what = "the trials stand and the same command tries again, but the front"
        (measured,) = run_alone(settings, ledger.folder, study.resources, measure_throughputs, [_request(ledger, archs)], what, len(archs))
        ledger.set_quiet_pass(quiet.with_measured([trial.number for trial in missing], measured))


def _request(ledger: Ledger, archs: Sequence[Arch]) -> MeasureRequest:
    return MeasureRequest.of_study(ledger.study, tuple(archs), MEASURE_SECONDS)

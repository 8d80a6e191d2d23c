"""What a search begins with: the baseline, measured, what predictions rest on, another study's trials, a screen before an engine."""

from collections.abc import Callable

from fvsearch.archs.space import Params
from fvsearch.calibrating.choose import settle_predictions
from fvsearch.costs.calibration import Predictions
from fvsearch.costs.feasibility import feasible_note, require_feasible
from fvsearch.costs.predictor import Predictor
from fvsearch.engines import engine_note, make_engine
from fvsearch.errors import ConfigError
from fvsearch.ledger import Ledger
from fvsearch.ledger.crew import Crew
from fvsearch.meters.measured import Anchor
from fvsearch.records import Record
from fvsearch.search.quiet import take_anchor
from fvsearch.search.screening import Candidate, Screen
from fvsearch.search.taking_over import Imported, import_trials, starts_note, warm_starts
from fvsearch.search.trials import new_trial
from fvsearch.search.workers import RunSettings, open_pool
from fvsearch.study import Study
from fvsearch.training.environment import set_environment
from fvsearch.training.segment import import_work


class Beginning(Record, frozen=True, kw_only=True):
    """What a search has before its first trial.

    Attributes:
        anchor: The baseline on this device.
        predictions: What they rest on.
        predictor: Of costs, by them.
        baseline: The first to be tried.
        taken: Of the study that the warm start names; none where it names none.
    """

    anchor: Anchor
    predictions: Predictions
    predictor: Predictor
    baseline: Candidate
    taken: Imported | None


def least_predictor(study: Study) -> Predictor:
    """Before anything is measured: an absolute memory budget is compared with what no device can save, the weights."""
    memory = study.budget.limits().get("memory")
    return Predictor.unmeasured(study) if memory is None or memory.relative else Predictor.unmeasured(study, memory={"weights": 1.0})


def begin(ledger: Ledger, settings: RunSettings, crew: Crew, tell: Callable[[str], None]) -> Beginning:
    """Measure the baseline, settle what predictions rest on, take another study's trials over: each once, whoever of a crew comes first.

    Args:
        ledger: Of the study.
        settings: How it is run.
        crew: Who works on it.
        tell: Told what is going on.

    Raises:
        RunError: The baseline cannot be trained or measured on this device.
        ConfigError: Nothing is within budget, the calibration does not fit, or the warm start's folder holds no study.
    """
    study, backend = ledger.study, settings.backend
    with crew.alone("measuring the baseline", tell):
        anchor = ledger.anchor()
        # One of another backend says nothing of this one's memory; one without a name is of the study's only backend.
        if anchor is None or anchor.backend not in ("", backend):
            anchor = take_anchor(ledger, settings, tell)
        predictions = settle_predictions(ledger, settings.calibration, backend, anchor, here=settings.pool != "ray")
        predictor = Predictor.anchored(study, anchor.memory, anchor.throughput, backend=backend, calibration=predictions.calibration)
        require_feasible(study, predictor)
        baseline = Candidate(params=_baseline_params(study), arch=study.baseline, predicted=predictor.baseline)
        taken = _take_over(ledger, backend, baseline, anchor, predictor)
    return Beginning(anchor=anchor, predictions=predictions, predictor=predictor, baseline=baseline, taken=taken)


def require_backend(ledger: Ledger, backend: str) -> None:
    """The law that a study is searched on one backend.

    Raises:
        ConfigError: It was searched on another.
    """
    # A start that could not even measure the baseline left no numbers.
    before = {invocation.backend for invocation in ledger.invocations()} if ledger.anchor() else set()
    if before and before != {backend}:
        raise ConfigError(
            f"{ledger.folder} was searched on {', '.join(sorted(before))}, and numbers of {backend} do not compare with it; "
            f"give --backend {min(before)}, or another folder with --out, or --force-backend to have both in one study"
        )


def make_screen(ledger: Ledger, settings: RunSettings, beginning: Beginning) -> Screen:
    """A screen before an engine, neither of which knows of a trial yet."""
    study = ledger.study
    if (study.engine.name, settings.pool) == ("keras_tuner", "inline"):
        # KerasTuner imports keras, in the process that is to train: so the training's way, with its backend and device.
        with open_pool(settings, ledger.folder, study.resources):
            set_environment()
            import_work()
    engine = make_engine(study, beginning.predictor)
    return Screen(study, engine, beginning.predictor, warm_starts(study, beginning.taken))


def say_feasible(study: Study, beginning: Beginning, screen: Screen) -> str:
    """What there is to search, and what the search begins with."""
    parts = (
        feasible_note(study, beginning.predictor),
        engine_note(study),
        beginning.taken.sentence if beginning.taken else "",
        starts_note(study, screen.skipped),
    )
    return "; ".join(filter(None, parts))


def _baseline_params(study: Study) -> Params:
    space, baseline = study.space, study.baseline
    return space.params(baseline) if space and space.contains(baseline) else {}


def _take_over(ledger: Ledger, backend: str, baseline: Candidate, anchor: Anchor, predictor: Predictor) -> Imported | None:
    """What fits of the study that the warm start names, its numbers after the baseline's; none where it names none."""
    if not isinstance(ledger.study.engine.warm_start, str):
        return None
    if ledger.is_empty:
        ledger.start(new_trial(ledger.study, baseline, backend))
    return import_trials(ledger, backend, anchor, predictor)

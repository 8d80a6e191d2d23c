"""Another study's ledger as a beginning: what still fits is taken over whole, or its front's archs are trained first.

A trial fits where its arch is of the new space (or list) and nothing that it was trained and measured under differs. Constraints are told
anew against the new budget; throughput is not taken over, so the quiet pass measures it here.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout
from fvsearch.costs.predictor import Predictor
from fvsearch.errors import ConfigError
from fvsearch.fronts.standing import front, ledger_standings
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.meters.measured import Anchor
from fvsearch.records import Record
from fvsearch.search.screening import params_of
from fvsearch.search.trials import taken_over
from fvsearch.study import LEARNED, Study
from fvsearch.study.budgets import violations

_IMPORTED = "fvsearch:imported"


class Imported(Record, frozen=True, kw_only=True):
    """What became of another study's trials.

    Attributes:
        folder: Of the other study.
        trials: How many were taken over.
        warm_starts: Archs of its front to be trained here.
        left_out: How many do not fit, by reason.
        differs: Why trials could not be taken over at all; empty where they could.
    """

    folder: str
    trials: int = 0
    warm_starts: tuple[Arch, ...] = ()
    left_out: dict[str, int] = {}
    differs: str = ""

    @property
    def sentence(self) -> str:
        """How many were imported, how many are trained first, how many do not fit, and why."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
        left = sum(self.left_out.values())
        misfits = f", {left} {'does' if left == 1 else 'do'} not fit ({reasons})" if left else ""
        if self.differs:
            starts = len(self.warm_starts)
            first = f"{starts} of its front {'is' if starts == 1 else 'are'} trained first"
            return f"from {self.folder}: no trial imported, for {self.differs}; {first}{misfits}"
        return f"from {self.folder}: {self.trials} trial{'' if self.trials == 1 else 's'} imported{misfits}"


def import_trials(ledger: Ledger, backend: str, anchor: Anchor, predictor: Predictor) -> Imported | None:
    """Take over what fits of the study that `engine.warm_start` names, once: called again, it says what it did.

    What a kill interrupted goes on: an arch that the ledger holds is not entered again. Imported trials have their numbers after the
    baseline's, and do not count as trials asked for: nothing is trained for them.

    Args:
        ledger: Of the new study; its baseline is entered.
        backend: That the new study runs on.
        anchor: The new study's baseline on this device.
        predictor: Of the new study.

    Raises:
        ConfigError: The named folder holds no study, or is the new study's own.
    """
    source = ledger.study.engine.warm_start
    if not isinstance(source, str):
        return None
    done: Imported | None = ledger.read(_IMPORTED, Imported)
    if done is not None:
        return done
    other = open_source(ledger.study, ledger.folder)
    assert other is not None, "the study names a folder"
    found = _compare(ledger.study, other, backend, anchor)
    if not found.differs:
        found = _enter(ledger, other, found, anchor, predictor)
    other.close()
    ledger.write(_IMPORTED, found)
    return found


def imported(ledger: Ledger) -> Imported | None:
    """What a study took over, if that was done."""
    found: Imported | None = ledger.read(_IMPORTED, Imported)
    return found


def warm_starts(study: Study, taken: Imported | None) -> tuple[Arch, ...]:
    """The archs to train first: those that the study lists, or those of another study's front that could not be taken over."""
    return study.listed_starts or (taken.warm_starts if taken else ())


def starts_note(study: Study, skipped: Sequence[Arch]) -> str:
    """Which warm starts are not tried, in a sentence; empty where all are."""
    layouts = ", ".join(format_layout(arch, study.data.image_shape[:2]) for arch in skipped)
    which = "warm start is" if len(skipped) == 1 else "warm starts are"
    return f"{len(skipped)} {which} over budget as predicted and left out: {layouts}" if skipped else ""


def open_source(study: Study, folder: Path | None = None) -> Ledger | None:
    """The ledger of the study that `engine.warm_start` names; none where it names no folder.

    Args:
        study: That names it.
        folder: The study's own.

    Raises:
        ConfigError: The named folder holds no study, or is the study's own.
    """
    source = study.engine.warm_start
    if not isinstance(source, str):
        return None
    if folder is not None and Path(source).resolve() == folder.resolve():
        raise ConfigError(f"`warm_start` must name the folder of another study, but got {source!r}, this study's own, at engine.warm_start")
    try:
        return Ledger.open(Path(source))
    except ConfigError as error:
        raise ConfigError(f"{error} at engine.warm_start") from None


def _compare(study: Study, other: Ledger, backend: str, anchor: Anchor) -> Imported:
    """Whether trials can be taken over; where not, the front's archs that are of the new study."""
    here = _conditions(study) | {"backend": backend, "device": anchor.device}
    trials = other.trials()
    there = _conditions(other.study) | {
        "backend": ", ".join(sorted({trial.backend for trial in trials if trial.backend})) or backend,
        "device": ", ".join(sorted({trial.device for trial in trials if trial.device})) or anchor.device,
    }
    folder = str(study.engine.warm_start)
    differing = [name for name, value in here.items() if there[name] != value]
    if not differing:
        return Imported(folder=folder)
    name = differing[0]
    more = f" (and {', '.join(differing[1:])})" if differing[1:] else ""
    members = [standing.trial for standing in front(ledger_standings(other))]
    reasons = [_misfit(study, trial.arch) for trial in members]
    return Imported(
        folder=folder,
        warm_starts=tuple(trial.arch for trial, reason in zip(members, reasons, strict=True) if not reason),
        left_out=dict(Counter(filter(None, reasons))),
        differs=f"{name} is {there[name]} there and {here[name]} here{more}",
    )


def _enter(ledger: Ledger, other: Ledger, found: Imported, anchor: Anchor, predictor: Predictor) -> Imported:
    """Enter the trials that fit."""
    known = {trial.arch_hash: trial for trial in ledger.trials()}
    left_out: Counter[str] = Counter()
    count = 0
    for trial in other.trials():
        before = known.get(trial.arch_hash)
        # One that is in the ledger was entered before a kill, or is the baseline, which is trained here.
        entered = before is not None and bool(before.imported)
        reason = "" if entered else "the baseline's arch, which is trained here" if before else _obstacle(ledger.study, trial, anchor)
        if reason:
            left_out[reason] += 1
            continue
        count += 1
        if before is None:
            record = taken_over(ledger.study, trial, anchor, predictor)
            place = {"params": params_of(ledger.study, trial.arch), "imported": f"{found.folder} #{trial.number}", "number": -1}
            ledger.add(msgspec.structs.replace(record, rungs=(), target=None, **place))
    return msgspec.structs.replace(found, trials=count, left_out=dict(left_out))


def _obstacle(study: Study, trial: TrialRecord, anchor: Anchor) -> str:
    """Why a trial of the same conditions cannot be taken over; empty where it can."""
    if trial.state in ("running", "paused", "stopped", "failed"):
        return "not trained to the end"
    if reason := _misfit(study, trial.arch):
        return reason
    if trial.state == "infeasible":
        broken = violations(study.budget, trial.measured, {"memory": anchor.memory})
        return "" if any(value > 0 for value in broken.values()) else "over its own budget, and perhaps not over this one"
    missing = [o.name for o in study.objectives if o.name in LEARNED and o.name not in trial.repeats[-1].epochs[-1]]
    return f"without {', '.join(missing)}" if missing else ""


def _misfit(study: Study, arch: Arch) -> str:
    """Why an arch is not of what the study searches; empty where it is."""
    try:
        params_of(study, arch)
    except ConfigError:
        space = study.space
        if space is None:
            return "not in the list"
        if space.rules and msgspec.structs.replace(space, rules=None).contains(arch):
            return f"kept out by the rules of the space {space.name!r}"
        return f"not in the space {space.name!r}"
    return ""


def _conditions(study: Study) -> dict[str, object]:
    """What a trial's values and measurements depend on, its arch and its seed aside; by the key that says it."""
    return {
        **{f"data.{name}": getattr(study.data, name) for name in study.data.__struct_fields__},
        **{f"recipe.{name}": getattr(study.recipe, name) for name in study.recipe.__struct_fields__},
        "repeats": study.repeats,
        "budget.phase": study.budget.phase,
        "budget.batch_size": study.cost_batch_size,
    }

"""Confirmations: the records of trainings with fresh seeds, as the ledger keeps them beside the trials."""

from collections.abc import Sequence

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.fronts.rungs import learned_objective
from fvsearch.ledger import Ledger
from fvsearch.records import Record
from fvsearch.study import Study

_KEY = "fvsearch:confirm:"


class Confirmation(Record, frozen=True, kw_only=True):
    """One training of an arch with a fresh seed.

    Attributes:
        layout: The arch's canonical layout at the study's image size.
        trial: Number of the arch's trial; none is an arch that the search did not try.
        repeat: Index of the seed: trials have those below the study's repeats, confirmations those from there on.
        train_share: Share of the training split that was trained on; front points are confirmed on the search's own, Data.train_share.
        reason: Why it failed; empty if it did not.
        notes: What else a reader should know of how it went.
        epochs: Metrics of each, as a Repeat's.
        seconds: Device-seconds of each activity: import, build, compile, train, measure.
        joules: Energy it took, "gpu" and "cpu", where they told it.
        measured: Costs read from the device: memory in bytes.
        ended: ISO 8601, UTC.
    """

    arch: Arch
    layout: str
    arch_hash: str
    trial: int | None = None
    repeat: int
    seed: int
    train_share: float = 1.0
    reason: str = ""
    notes: tuple[str, ...] = ()
    epochs: tuple[dict[str, float], ...] = ()
    seconds: dict[str, float] = msgspec.field(default_factory=dict)
    joules: dict[str, float] = msgspec.field(default_factory=dict)
    measured: dict[str, float] = msgspec.field(default_factory=dict)
    memory_source: str = ""
    backend: str = ""
    device: str = ""
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    ended: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no value to take from it."""
        return bool(self.reason) or not self.epochs

    @property
    def key(self) -> str:
        """Under which the ledger keeps it."""
        return f"{_KEY}{self.arch_hash}:{self.train_share:g}:{self.repeat:04d}"

    def value(self, objective: str) -> float:
        """What was learned by the last epoch, of the validation split."""
        return self.epochs[-1][objective]


def confirmations(ledger: Ledger) -> tuple[Confirmation, ...]:
    """Every confirmation of a study, in the order of arch hash, share and repeat."""
    return tuple(ledger.read_all(_KEY, Confirmation).values())


def fresh_values(study: Study, trainings: Sequence[Confirmation]) -> dict[str, list[float]]:
    """By arch hash, what trainings with fresh seeds on the whole training split told of the first learned objective."""
    learned = learned_objective(study)
    found: dict[str, list[float]] = {}
    for one in trainings:
        if not one.failed and one.train_share == study.data.train_share:
            found.setdefault(one.arch_hash, []).append(one.value(learned))
    return found

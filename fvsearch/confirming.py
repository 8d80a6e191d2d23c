"""confirm: front points, the baseline and archs asked for, trained again with fresh seeds, so that a front can be believed.

What a search selects is in part luck: of many values it takes the highest, which are high by their seeds too (the winner's curse). Only
trainings that had no part in the selection tell how good the selected are. Each of them is one entry of the ledger, beside the trials.
"""

import msgspec

from fvsearch.arch import Arch
from fvsearch.ledger import Ledger
from fvsearch.records import Record

_KEY = "fvsearch:confirm:"


class Confirmation(Record, frozen=True, kw_only=True):
    """One training of an arch with a fresh seed.

    Attributes:
        layout: The arch's canonical layout at the study's image size.
        trial: Number of the arch's trial; none is an arch that the search did not try.
        repeat: Index of the seed: trials have those below the study's repeats, confirmations those from there on.
        train_share: Share of the training split that was trained on; the front's points are confirmed on all of it, 1.
        reason: Why it failed; empty if it did not.
        notes: What else a reader should know of how it went.
        epochs: Metrics of each, as a Repeat's.
        seconds: Device-seconds of each activity: import, build, compile, train, measure.
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

"""EarlyStopping: the rungs at which a trial may end, as a frozen record; fronts/rungs.py judges by it."""

from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least, require_fraction


class EarlyStopping(Record, frozen=True, kw_only=True):
    """Rungs, at which a trial that is far from the front of those that reached them ends.

    Attributes:
        rungs: Where: shares of the recipe's epochs, ascending.
        keep: At a rung a trial goes on if it is on the front of (accuracy there, costs), or among this share of the nearest to it.
        min_trials: So many must have reached a rung before one is stopped there.
    """

    rungs: tuple[float, ...] = (0.25, 0.5)
    keep: float = 0.5
    min_trials: int = 4

    def __post_init__(self) -> None:
        require_at_least(1, self, "min_trials")
        require_fraction(self, "keep")
        if not self.rungs or list(self.rungs) != sorted(set(self.rungs)) or not 0 < self.rungs[0] <= self.rungs[-1] < 1:
            raise ConfigError(f"`rungs` must be ascending shares of the epochs, each above 0 and below 1, but got {list(self.rungs)}")

    def epochs(self, total: int) -> tuple[int, ...]:
        """After how many epochs of `total` the rungs are: at least one, below the total, each once."""
        return tuple(dict.fromkeys(rung for share in self.rungs if (rung := max(1, round(share * total))) < total))

"""Confirm: what is trained again after a search, as a frozen record; search/confirming.py does it."""

from fvsearch.archs.arch import Arch
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least, require_at_most

MOST_SEEDS = 1000
"""Trainings of one arch: each is planned before the first begins."""


class Confirm(Record, frozen=True, kw_only=True):
    """What is trained again after a search, with other seeds: the front and the baseline, always.

    Attributes:
        seeds: Trainings of each, beyond those of the search.
        archs: Further ones.
        train_shares: The baseline and `archs` are also trained on these shares of the training split.
    """

    seeds: int = 3
    archs: tuple[Arch, ...] = ()
    train_shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require_at_least(1, self, "seeds")
        require_at_most(MOST_SEEDS, self, "seeds")
        for share in self.train_shares:
            if not 0 < share < 1:
                raise ConfigError(f"`train_shares` must each be above 0 and below 1, but got {share}")

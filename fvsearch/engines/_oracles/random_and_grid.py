"""Random and Grid: the oracles that look at no outcome."""

from typing import Any

from keras_tuner.oracles import GridSearchOracle, RandomSearchOracle

from fvsearch.engines._oracles.driven import Driven, Told, Values


class Random(Driven, RandomSearchOracle):
    """Draws each param at random; nothing twice."""


class Grid(Driven, GridSearchOracle):
    """Every combination in order, the last param fastest.

    A combination follows from the one before and not from outcomes, so that a trial ends for the oracle as it begins: it never waits.
    """

    def begin(self) -> Any:
        """The next combination."""
        trial = super().begin()
        if trial.status == "RUNNING":
            super().finish(trial, Told(score=None, epochs=0))
        return trial

    def finish(self, trial: Any, told: Told) -> None:
        """It ended as it began."""

    def add(self, values: Values, told: Told) -> None:
        """The order stands, and who asks leaves out what is known."""

"""Driven: what all oracles share here, and what they are told."""

from typing import Any

import keras_tuner

from fvsearch.records import Record

Values = dict[str, Any]
"""A hyperparameter's value by its name; Hyperband adds its own, whose names begin with "tuner/"."""

COLLISIONS = 1000
"""Random draws in a row that were proposed before, after which a space counts as exhausted; KerasTuner's 20 leave a tenth of it."""


class Told(Record, frozen=True, kw_only=True):
    """What became of an arch, as an oracle sees it.

    Attributes:
        score: Less is better; none where the arch cannot be trained or is over budget.
        epochs: It was trained for.
    """

    score: float | None
    epochs: int


class Driven(keras_tuner.Oracle):
    """What all oracles share here: trials are kept in memory, and begin and end through KerasTuner's own methods.

    Args:
        sizes: Choices of each hyperparameter, by its name.
        seed: Of its draws, at least 1: KerasTuner takes 0 for no seed.
    """

    def __init__(self, sizes: dict[str, int], seed: int, **settings: Any) -> None:
        space = keras_tuner.HyperParameters()
        for name, size in sizes.items():
            space.Choice(name, list(range(size)))
        super().__init__(objective=keras_tuner.Objective("score", "min"), hyperparameters=space, seed=seed, **settings)
        self.verbose = 0
        self._max_collisions = COLLISIONS
        self._planned: list[Values] = []

    def begin(self) -> Any:
        """A new trial; its status may say that there is none now (IDLE) or ever (STOPPED)."""
        return self.create_trial(str(len(self.trials)))

    def finish(self, trial: Any, told: Told) -> None:
        """End a trial with what became of its arch."""
        self.update_trial(trial.trial_id, {"score": self._score(trial, told)})
        trial.status = "COMPLETED"
        self.end_trial(trial)

    def add(self, values: Values, told: Told) -> None:
        """Learn of an arch that was not proposed here: a trial begun with its values and ended at once."""
        self._planned.append(values)
        self.finish(self.begin(), told)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of a new trial: what is planned, else what the oracle chooses."""
        if self._planned:
            return {"status": "RUNNING", "values": self._planned.pop()}
        return super().populate_space(trial_id)

    def _score(self, trial: Any, told: Told) -> float:
        return 0.0 if told.score is None else told.score

    def save(self) -> None:
        """No file: the ledger is the record."""

    def _save_trial(self, trial: Any) -> None:
        """No file either."""

    def _check_consecutive_failures(self) -> None:
        """However many, they do not end a search."""

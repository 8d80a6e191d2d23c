"""Hyperband: few epochs first, and more for the best of each round, also where a search is taken up again."""

import math
from typing import Any

from keras_tuner.oracles import HyperbandOracle

from fvsearch.engines._oracles.driven import Driven, Told, Values
from fvsearch.records import Record

FACTOR = 3
"""Of Hyperband: each round trains a third of the archs three times as long, KerasTuner's default."""


class Offer(Record, frozen=True, kw_only=True):
    """An arch that Hyperband did not ask for and may take into a bracket.

    Attributes:
        epochs: It was trained for.
        early: Whether it was trained to the end before any was paused, as the baseline and starts are.
    """

    values: Values
    epochs: int
    early: bool


class Hyperband(Driven, HyperbandOracle):
    """Random archs in brackets: of those trained for a few epochs the best third is trained three times as long, and so on.

    One sweep over the brackets follows another until the search has its trials. An arch that is over budget or fails in a bracket's first
    round gives its place to another, for KerasTuner would never fill the later rounds; later it comes last in its round.

    What was told without being asked takes places in first rounds. An arch trained longer than the round asks has been promoted before, or
    was trained for another reason (the baseline, a start): it is taken for promoted if it was not told before all that was paused, and so
    many archs of the bracket stayed behind that one could be; then it is promoted again. So a refilled oracle stands where it stood.

    Args:
        epochs: Of the full training.
    """

    def __init__(self, sizes: dict[str, int], seed: int, epochs: int) -> None:
        super().__init__(sizes, seed, max_epochs=epochs, factor=FACTOR, hyperband_iterations=None)
        self._exhausted = False
        self._filled: dict[str, Any] = {}
        self._offers: list[Offer] = []
        self._has_paused = False
        self._epochs_told: dict[str, int] = {}

    def finish(self, trial: Any, told: Told) -> None:
        """End the trial; without a score in a first round, it has no place there."""
        self._epochs_told[trial.trial_id] = told.epochs
        super().finish(trial, told)
        if told.score is None:
            for bracket in self._brackets:
                bracket["rounds"][0] = [place for place in bracket["rounds"][0] if place["id"] != trial.trial_id]

    def add(self, values: Values, told: Told) -> None:
        """Offer the arch to the first rounds, if it can be trained; either way it is not drawn any more."""
        self._tried_so_far.add(self._compute_values_hash(values))
        if told.score is not None:
            self._has_paused = self._has_paused or told.epochs < self.max_epochs
            self._offers.append(Offer(values=values, epochs=told.epochs, early=not self._has_paused))

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of a new trial; where no new arch is left for a first round, of one to be promoted, if there is one."""
        fresh = not self._exhausted
        found = super().populate_space(trial_id)
        return super().populate_space(trial_id) if self._exhausted and fresh else found

    def _score(self, trial: Any, told: Told) -> float:
        if told.score is None:
            return math.inf
        return -math.inf if told.epochs > trial.hyperparameters.values["tuner/epochs"] else told.score

    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        self._filled = bracket
        return super()._random_trial(trial_id, bracket)

    def _random_values(self) -> Values | None:
        """For a place in a first round: what is offered and may stand there, else a draw."""
        for offer in self._offers:
            if self._may_stand(offer, self._filled):
                self._offers.remove(offer)
                return dict(offer.values)
        drawn: Values | None = None if self._exhausted else super()._random_values()
        self._exhausted = drawn is None
        return drawn

    def _may_stand(self, offer: "Offer", bracket: dict[str, Any]) -> bool:
        """Whether an arch may be one of the bracket, promoted round by round as far as it was trained."""
        number, rounds = bracket["bracket_num"], bracket["rounds"]
        if offer.epochs < self._get_epochs(number, 0) or (offer.early and len(rounds) > 1):
            return False
        others = [self._epochs_told.get(place["id"], 0) for place in rounds[0]]
        for index in range(1, len(rounds)):
            if offer.epochs < self._get_epochs(number, index):
                break
            reached = 1 + sum(other >= self._get_epochs(number, index - 1) for other in others)
            if reached <= self._get_size(number, index - 1) - self._get_size(number, index):
                return False
        return True

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        """Archs of a round; where no new ones are left, in proportion to those that the first round has."""
        size: int = super()._get_size(bracket_num, round_num)
        if not self._exhausted:
            return size
        first = next((len(bracket["rounds"][0]) for bracket in self._brackets if bracket["bracket_num"] == bracket_num), 0)
        return min(size, math.ceil(first / FACTOR**round_num))

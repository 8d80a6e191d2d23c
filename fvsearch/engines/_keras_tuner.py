"""The KerasTuner engine: its random, Bayesian, Hyperband and grid oracles propose for our loop, without its Tuner.

An oracle's trials are the engine's memory and not the ledger. Importing this loads no keras; making an engine does.
"""

import contextlib
import importlib.util
import os
import random
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fvsearch.archs.space import Param
from fvsearch.backend import choose_backend
from fvsearch.engines._choices import Domains, choice_indices, chosen
from fvsearch.engines.base import Done, Failed, Infeasible, Outcome, Stopped, Suggestion, Wait
from fvsearch.errors import ConfigError, MissingBackendError
from fvsearch.pareto import minimise
from fvsearch.study import Objective, Proposer
from fvsearch.training.environment import TRAINING, lasting_imports

if TYPE_CHECKING:
    from fvsearch.engines._oracles.driven import Driven, Told

Key = tuple[int, ...]
"""The index of each param's choice, in the order of the domains."""

SCALAR = ("bayesian", "hyperband")
"""Oracles that go by a number; the others look at no outcome."""


def check_keras_tuner(proposer: Proposer, objectives: Sequence[Objective]) -> None:
    """The laws of this engine that can be told at once; nothing heavy is imported.

    Raises:
        ConfigError: The oracle needs one objective, and the study has several and names none.
        MissingBackendError: KerasTuner is not installed.
    """
    names = [objective.name for objective in objectives]
    if proposer.oracle in SCALAR and len(names) > 1 and proposer.scalar is None:
        raise ConfigError(
            f"KerasTuner's {proposer.oracle} oracle goes by one objective, but the study has {', '.join(names)}, of which KerasTuner would "
            f'take the plain sum; name the one it shall see, such as scalar = "{names[0]}", at engine (the front keeps them all)'
        )
    if importlib.util.find_spec("keras_tuner") is None:
        raise MissingBackendError('the engine "keras_tuner" needs KerasTuner; `pip install "fvsearch[keras-tuner]"` installs it')


class KerasTunerEngine:
    """Proposes by a KerasTuner oracle over an in-memory search that it owns.

    KerasTuner sees the index of a choice, for it takes True for 1. Random and grid go by no outcome, and propose nothing twice. Bayesian is
    told a pessimistic score for what cannot be trained (_oracles/bayesian.py). Hyperband asks for few epochs first and for more of what did
    best; its full training is the recipe's.

    Args:
        proposer: Names the oracle, and the objective that it sees.
        domains: The choices of each param.
        objectives: The study's, in its order.
        seed: Of the oracle; with the outcomes told before the first `ask`, so that a resumed search does not begin its suggestions again.
        epochs: Of the full training.

    Raises:
        ConfigError: The oracle needs one objective, and the study names none of several.
        MissingBackendError: KerasTuner is not installed.
    """

    def __init__(self, proposer: Proposer, domains: Domains, objectives: Sequence[Objective], seed: int, epochs: int) -> None:
        check_keras_tuner(proposer, objectives)
        self._proposer, self._objectives, self._seed, self._epochs = proposer, tuple(objectives), seed, epochs
        self._choices = dict(domains)
        self._oracle: Driven | None = None
        self._told: dict[Key, Told] = {}
        self._asked: dict[Key, list[Any]] = {}
        import_oracles()

    def ask(self) -> Suggestion | Wait | Done:
        """The oracle's next proposal; an arch that is known as far as it asks is told to it at once, and it is asked again."""
        with _quiet():
            oracle = self._oracle = self._oracle or self._begin()
            while True:
                trial = oracle.begin()
                if trial.status == "IDLE":
                    return Wait()
                if trial.status == "STOPPED":
                    return Done(reason=f"KerasTuner's {self._proposer.oracle} oracle has proposed all that it has to")
                values = trial.hyperparameters.values
                key, epochs = self._key(values), values.get("tuner/epochs")
                told = self._told.get(key)
                if told is None or (epochs is not None and told.score is not None and told.epochs < epochs):
                    self._asked.setdefault(key, []).append(trial)
                    return Suggestion(params=chosen(self._choices, key), epochs=epochs)
                oracle.finish(trial, told)

    def tell(self, params: Mapping[str, Param], outcome: Outcome) -> None:
        """Learn what became of an arch, whether suggested here or not; told again, only what came of more epochs changes anything.

        Raises:
            ConfigError: The params are not of these domains, or the values not one an objective.
        """
        key, told = choice_indices(self._choices, params), self._as_told(outcome)
        before = self._told.get(key)
        if before is None or (before.epochs < self._epochs and before.score is not None and not 0 < told.epochs <= before.epochs):
            self._told[key] = told
        told = self._told[key]
        if self._oracle is None:
            return
        with _quiet():
            for trial in (asked := self._asked.pop(key, [])):
                self._oracle.finish(trial, told)
            if before is None and not asked:
                self._oracle.add(self._values(key), told)

    def _begin(self) -> "Driven":
        """The oracle, told what was told before it is asked for the first time."""
        from fvsearch.engines._oracles import ORACLES

        sizes = {name: len(self._choices.get(name, (None,))) for name in self._names}
        seed = random.Random(f"{self._seed}/{len(self._told)}").randrange(1, 2**31)
        oracle = ORACLES[self._proposer.oracle](sizes, seed, self._epochs)
        for key, told in self._told.items():
            oracle.add(self._values(key), told)
        return oracle

    @property
    def _names(self) -> tuple[str, ...]:
        """Of the hyperparameters: the params, or where nothing is searched one without a choice, for an oracle wants some."""
        return tuple(self._choices) or ("nothing",)

    def _values(self, key: Key) -> dict[str, Any]:
        return dict(zip(self._names, key or (0,), strict=True))

    def _key(self, values: Mapping[str, Any]) -> Key:
        return tuple(values[path] for path in self._choices)

    def _as_told(self, outcome: Outcome) -> "Told":
        from fvsearch.engines._oracles.driven import Told

        if isinstance(outcome, Infeasible | Failed):
            return Told(score=None, epochs=0)
        turned = minimise(outcome.values, [objective.direction for objective in self._objectives])
        names = [objective.name for objective in self._objectives]
        seen = names.index(self._proposer.scalar) if self._proposer.scalar in names else 0
        return Told(score=turned[seen], epochs=outcome.epochs if isinstance(outcome, Stopped) else self._epochs)


def import_oracles() -> None:
    """Import KerasTuner, and with it keras where nothing has yet: silently, and without a look at this machine's GPUs.

    The environment is as before afterwards, for workers inherit it. Keras then runs on the backend that `choose_backend` gives, and on
    PyTorch on the CPU; an oracle asks it for nothing.

    Raises:
        MissingBackendError: There is no backend for Keras.
    """
    if "fvsearch.engines._oracles" in sys.modules:
        return
    hidden = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    changes = {} if "keras" in sys.modules else TRAINING | hidden | {"KERAS_BACKEND": choose_backend()}
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        with _quiet(), _silent(), lasting_imports():
            importlib.import_module("fvsearch.engines._oracles")
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warnings: KerasTuner uses what Python has deprecated, and scikit-learn's fits do not all converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing from native code on the terminal: TensorFlow's notes on its start are written below Python."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(stream) for stream in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        yield
    finally:
        for stream, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, stream)
        for descriptor in (*saved, nowhere):
            os.close(descriptor)

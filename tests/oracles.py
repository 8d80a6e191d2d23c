"""Engines of KerasTuner's oracles, and what they are told of the archs that they propose."""

import math

from fvsearch.engines import Completed, Stopped, Suggestion
from fvsearch.engines._keras_tuner import KerasTunerEngine
from fvsearch.study import Objective, Proposer

DOMAINS = {f"stages.{stage}.{name}": (1, 2, 4, 8) for stage in range(2) for name in ("depth", "width")}
TOP1 = Objective(name="top1", direction="maximize")
MEMORY = Objective(name="memory", direction="minimize")
EPOCHS = 9


def make(oracle, domains=DOMAINS, objectives=(TOP1, MEMORY), seed=0, scalar="top1"):
    return KerasTunerEngine(Proposer(name="keras_tuner", oracle=oracle, scalar=scalar), domains, objectives, seed, EPOCHS)


def score(params):
    """Between 0 and 1; more of every param is better, the first ones most."""
    return sum((4 - index) * math.log2(value) for index, value in enumerate(params.values())) / 30


def suggestions(engine, count):
    """Suggestions, each told what its epochs make of its score before the next is asked for."""
    found = []
    while len(found) < count and isinstance(answer := engine.ask(), Suggestion):
        found.append(answer)
        engine.tell(answer.params, outcome(answer))
    return found


def outcome(suggestion):
    """Full training adds nothing to the order of the archs."""
    values = (score(suggestion.params), 1.0)
    return Completed(values=values) if suggestion.epochs in (None, EPOCHS) else Stopped(epochs=suggestion.epochs, values=values)


def refilled(oracle, told, seed=0):
    """An engine that is told what became of each arch in the end, in order."""
    engine = make(oracle, seed=seed)
    final = {tuple(suggestion.params.items()): suggestion for suggestion in told}
    order = sorted(final, key=lambda key: max(index for index, suggestion in enumerate(told) if tuple(suggestion.params.items()) == key))
    for key in order:
        engine.tell(dict(key), outcome(final[key]))
    return engine

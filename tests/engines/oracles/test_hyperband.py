import warnings
from collections import Counter

import keras_tuner
import pytest
from oracles import DOMAINS, EPOCHS, make, outcome, refilled, score, suggestions

from fvsearch.engines import Completed, Done, Failed, Infeasible, Suggestion


def theirs(epochs, count):
    """Epochs that KerasTuner's own Hyperband asks for, one trial after the other."""
    space = keras_tuner.HyperParameters()
    for path, choices in DOMAINS.items():
        space.Choice(path, list(choices))
    oracle = keras_tuner.oracles.HyperbandOracle(
        keras_tuner.Objective("top1", "max"), max_epochs=epochs, hyperparameters=space, seed=1, hyperband_iterations=2
    )
    oracle.verbose = 0
    oracle.save = oracle._save_trial = lambda *arguments: None
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            trial = oracle.create_trial(str(number))
            values = trial.hyperparameters.values
            found.append((values["tuner/epochs"], "tuner/trial_id" in values))
            oracle.update_trial(trial.trial_id, {"top1": score({path: values[path] for path in DOMAINS})})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
    return found


def test_the_schedule_is_kerastuners_own():
    found, seen = [], set()
    for one in suggestions(make("hyperband"), 40):
        key = tuple(one.params.items())
        found.append((one.epochs, key in seen))
        seen.add(key)
    assert found == theirs(EPOCHS, 40)
    assert set(found) == {(1, False), (3, False), (3, True), (9, True), (9, False)}


def test_the_best_of_a_round_are_asked_for_again_with_more_epochs_and_the_same_params():
    asked = suggestions(make("hyperband"), 18)
    first, second, third = asked[:9], asked[9:12], asked[12:13]
    assert [one.epochs for one in (*first, *second, *third)] == [1] * 9 + [3] * 3 + [EPOCHS]
    best = sorted(first, key=lambda one: -score(one.params))[:3]
    assert [one.params for one in second] == [one.params for one in best]
    assert third[0].params == best[0].params
    assert all(set(one.params) == set(DOMAINS) for one in asked)


def test_a_round_that_is_not_told_promotes_nothing_and_the_next_bracket_begins():
    engine = make("hyperband")
    asked = [engine.ask() for _ in range(12)]
    assert [one.epochs for one in asked] == [1] * 9 + [3] * 3
    assert len({tuple(one.params.items()) for one in asked}) == 12
    for one in asked[:9]:
        engine.tell(one.params, outcome(one))
    promoted = [engine.ask() for _ in range(3)]
    assert {tuple(one.params.items()) for one in promoted} < {tuple(one.params.items()) for one in asked[:9]}


def test_what_is_over_budget_gives_its_place_to_another():
    engine = make("hyperband")
    for number in range(30):
        one = engine.ask()
        assert one.epochs == 1
        engine.tell(one.params, Infeasible(constraints={"memory": 0.5}) if number < 21 else outcome(one))
    assert engine.ask().epochs == 3


def test_what_fails_after_its_promotion_is_last_in_its_round():
    engine = make("hyperband")
    suggestions(engine, 9)
    failing = engine.ask()
    assert failing.epochs == 3
    engine.tell(failing.params, Failed(reason="NaN"))
    later = suggestions(engine, 30)
    assert failing.params not in [one.params for one in later]
    assert [one.epochs for one in later[:3]] == [3, 3, EPOCHS]


def test_a_space_that_is_too_small_for_a_bracket_still_has_its_best_trained_to_the_end():
    domains = {"stages.0.depth": (1, 2, 4, 8)}
    engine = make("hyperband", domains)
    found = []
    while isinstance(answer := engine.ask(), Suggestion):
        found.append((answer.params["stages.0.depth"], answer.epochs))
        engine.tell(answer.params, outcome(answer))
    assert isinstance(answer, Done)
    assert found[-1] == (8, EPOCHS)
    assert len(found) == len(set(found)) <= 4 + 2 + 1


@pytest.mark.parametrize("done", range(1, 37, 3))
def test_a_refilled_hyperband_goes_on_where_it_was(done):
    told = suggestions(make("hyperband"), done)
    engine = refilled("hyperband", told)
    epochs = {tuple(one.params.items()): one.epochs for one in told}
    whole = [one.epochs for one in suggestions(make("hyperband"), 40)]
    rest = suggestions(engine, 40 - done)
    assert [one.epochs for one in rest] == whole[done:]
    for one in rest:
        # Nothing is trained as far as it was already.
        key = tuple(one.params.items())
        assert one.epochs > epochs.get(key, 0)
        epochs[key] = one.epochs


def test_what_was_fully_trained_before_takes_no_promotion_from_a_bracket():
    engine = make("hyperband")
    for depth in (1, 8):
        engine.tell(dict.fromkeys(DOMAINS, depth), Completed(values=(1.0, 1.0)))
    asked = suggestions(engine, 13)
    assert Counter(one.epochs for one in asked) == {1: 9, 3: 3, EPOCHS: 1}

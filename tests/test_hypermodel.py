"""KerasTuner's own tuners as clients of a study's space."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import msgspec
import numpy as np
import pytest

from fvsearch import FunnelHyperModel
from fvsearch.archs.space import StageSpace
from fvsearch.data import load_search_splits
from fvsearch.errors import ConfigError, EmptySpaceError, MissingBackendError
from fvsearch.hypermodel import Later
from fvsearch.records import from_builtins
from fvsearch.study import Data, Objective, Proposer
from fvsearch.study.augmentation import Augmentation
from fvsearch.study.budgets import Budget
from fvsearch.study.recipe import Recipe
from fvsearch.testing import tiny_arch, tiny_space, tiny_study
from fvsearch.training.fit import compile_model, recipe_model, steps_per_epoch
from fvsearch.training.recipe import make_schedule
from fvsearch.training.run import Run
from fvsearch.training.segment import derive_seed

EXAMPLES = Path(__file__).parent / "examples"
DATA = Data(source="user_data:stripes", image_size=8, channels=1, num_classes=3, options={"num_images": 60})
STUDY = tiny_study(data=DATA, recipe=Recipe(epochs=2, batch_size=12, learning_rate=0.01), budget=Budget())
FILTERS = [
    # What KerasTuner 1.4.8 itself uses.
    "ignore:currentThread\\(\\) is deprecated:DeprecationWarning",
    "ignore:getName\\(\\) is deprecated:DeprecationWarning",
    "ignore:The optimal value found for dimension::sklearn.gaussian_process",
]
pytestmark = [pytest.mark.filterwarnings(text) for text in FILTERS]


@pytest.fixture(autouse=True)
def beside_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)


def hypermodel(**changes: Any) -> FunnelHyperModel:
    study = msgspec.structs.replace(STUDY, **changes)
    return FunnelHyperModel(study.space, study)


def declared(model: FunnelHyperModel, **values: Any) -> keras_tuner.HyperParameters:
    hp = keras_tuner.HyperParameters()
    hp.values = {path.replace("__", "."): value for path, value in values.items()}
    model.declare_hyperparameters(hp)
    hp.ensure_active_values()
    return hp


@pytest.mark.every_backend
@pytest.mark.slow
def test_kerastuners_hyperband_trains_the_space(tmp_path: Path) -> None:
    stages = (StageSpace(depth=1, width=(16, 32), mlp_dim=32), StageSpace(depth=(0, 1), width=16, mlp_dim=(16, 32), pool_stride=2))
    model = hypermodel(space=tiny_space(stages=stages))
    tuner = keras_tuner.Hyperband(model, model.objective, max_epochs=2, factor=2, seed=1, directory=tmp_path)
    tuner.search(verbose=0)
    trials = tuner.oracle.trials.values()
    assert {trial.status for trial in trials} == {"COMPLETED"}
    assert all(0 <= trial.score <= 1 for trial in trials)
    assert {trial.hyperparameters.values["tuner/epochs"] for trial in trials} == {1, 2}
    (best,), (trained,) = tuner.get_best_hyperparameters(), tuner.get_best_models()
    assert trained.count_params() == recipe_model(model.arch(best), DATA, STUDY.recipe, 0).count_params()


@pytest.mark.parametrize(
    ("tuner", "options"),
    [
        (keras_tuner.RandomSearch, {"max_trials": 5}),
        (keras_tuner.GridSearch, {"max_trials": 5}),
        (keras_tuner.BayesianOptimization, {"max_trials": 5, "num_initial_points": 3}),
    ],
)
def test_kerastuners_own_tuners_search_the_space(
    tuner: Any, options: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = hypermodel()
    monkeypatch.setattr(model, "fit", lambda hp, built, **options: {"val_top1": 1 / built.count_params()})
    search = tuner(model, model.objective, seed=1, directory=tmp_path, **options)
    search.search(verbose=0)
    trials = search.oracle.trials.values()
    assert len(trials) == 5
    assert {trial.status for trial in trials} == {"COMPLETED"}
    (best,) = search.get_best_hyperparameters()
    assert STUDY.space is not None and STUDY.space.contains(model.arch(best))


def test_hyperparameters_are_the_params_under_their_dotted_paths() -> None:
    hp = declared(hypermodel())
    assert {one.name: tuple(one.values) for one in hp.space} == {**STUDY.space.domains()}
    assert hypermodel().arch(hp) == STUDY.baseline


def test_a_bool_stays_a_bool() -> None:
    model = hypermodel(space=tiny_space(pool_query_only=(True, False)))
    hp = declared(model)
    (query,) = (one for one in hp.space if one.name == "pool_query_only")
    assert sorted(query.values) == [False, True] and hp.values["pool_query_only"] is True


def test_what_an_arch_does_not_use_is_inactive() -> None:
    model = hypermodel()
    ended = declared(model, stages__1__depth=0)
    assert {path for path in ended.values if path.startswith("stages.1.")} == {"stages.1.depth"}
    unpooled = declared(model, stages__1__depth=1, stages__1__pool_stride=1)
    assert "stages.1.pooling" not in unpooled.values
    pooled = declared(model, stages__1__depth=1, stages__1__pool_stride=2, stages__1__pooling="max")
    assert model.arch(pooled).stages[1].pooling == "max"


def test_a_grid_has_every_arch_once(tmp_path: Path) -> None:
    model = hypermodel()
    tuner = keras_tuner.GridSearch(model, model.objective, directory=tmp_path)
    tuner.oracle.verbose = 0
    found = []
    while (trial := tuner.oracle.create_trial("one")).status == "RUNNING":
        found.append(model.arch(trial.hyperparameters))
        tuner.oracle.update_trial(trial.trial_id, {"val_top1": 0.5})
        trial.status = "COMPLETED"
        tuner.oracle.end_trial(trial)
    assert len(found) == len(set(found)) == STUDY.space.size()


def test_a_tuner_builds_one_model_before_it_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = hypermodel()
    built = []
    monkeypatch.setattr(model, "_build", lambda hp, build=model._build: built.append(1) or build(hp))
    keras_tuner.RandomSearch(model, model.objective, directory=tmp_path)
    assert len(built) == 1


def test_a_param_that_the_user_fixes_stays_fixed(tmp_path: Path) -> None:
    hp = keras_tuner.HyperParameters()
    hp.Fixed("stages.0.width", 32)
    model = hypermodel()
    tuner = keras_tuner.RandomSearch(model, model.objective, hyperparameters=hp, max_trials=4, seed=1, directory=tmp_path)
    tuner.oracle.verbose = 0
    assert {model.arch(tuner.oracle.create_trial(str(number)).hyperparameters).stages[0].width for number in range(4)} == {32}


@pytest.mark.every_backend
def test_the_model_is_the_one_that_a_search_trains() -> None:
    model = hypermodel()
    ours = model.build(declared(model))
    seed = derive_seed(STUDY.seed, STUDY.baseline.arch_hash, 0)
    other = recipe_model(STUDY.baseline, DATA, STUDY.recipe, seed)
    compile_model(other, STUDY.recipe, steps_per_epoch(STUDY.recipe, 36))
    for mine, theirs in zip(ours.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    images, labels = load_search_splits(DATA).train
    for built in (ours, other):
        built.fit(images, labels, batch_size=12, shuffle=False, verbose=0)
    for mine, theirs in zip(ours.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)


def test_what_is_over_budget_as_predicted_fails_its_trial_and_the_tuner_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = hypermodel(budget=Budget(memory="0.6x"))
    monkeypatch.setattr(model, "fit", lambda *arguments, **options: {"val_top1": 0.5})
    with pytest.raises(keras_tuner.errors.FailedTrialError, match=r"B2\(17, h32, m64, a4\).* `budget.memory` = '0.6x' by 66.7% as pred"):
        model.build(declared(model, stages__0__depth=2, stages__0__width=32, stages__0__mlp_dim=64, stages__1__depth=0))
    tuner = keras_tuner.RandomSearch(model, model.objective, max_trials=8, max_consecutive_failed_trials=8, seed=1, directory=tmp_path)
    tuner.search(verbose=0)
    trials = tuner.oracle.trials.values()
    assert {trial.status for trial in trials} == {"COMPLETED", "FAILED"}
    assert len(trials) == 8
    assert model.predictor.meets(model.arch(tuner.get_best_hyperparameters()[0]))


def test_a_budget_that_nothing_meets_is_refused_at_once() -> None:
    with pytest.raises(EmptySpaceError, match=r"the smallest that would do is"):
        hypermodel(budget=Budget(memory="0.01x"))


def test_a_space_that_does_not_fit_the_images_is_refused() -> None:
    with pytest.raises(ConfigError, match="`image_size` must divide by `patch_size`"):
        FunnelHyperModel(tiny_space(patch_size=3), STUDY)


def test_images_that_are_no_arrays_and_a_recipe_that_alters_them_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"`recipe\.augmentation` must be left out for FunnelHyperModel, which hands whole arrays"):
        hypermodel(recipe=Recipe(epochs=2, batch_size=12, augmentation=Augmentation(flip=True)))
    monkeypatch.setattr("fvsearch.hypermodel.load_search_splits", lambda data: (object(), object()))
    model = hypermodel()
    with pytest.raises(ConfigError, match="those of 'user_data:stripes' are read as they are wanted; `fvsearch run` trains on them"):
        model.build(declared(model))


def test_a_study_of_a_list_lends_its_data_and_recipe_to_a_space() -> None:
    listed = msgspec.structs.replace(STUDY, space=None, engine=Proposer(name="listed", archs=(tiny_arch(),)))
    assert FunnelHyperModel(tiny_space(), listed).space == tiny_space()


def test_without_kerastuner_one_sentence_says_how_to_install_it() -> None:
    code = "import sys; sys.modules['keras_tuner'] = None; import fvsearch; fvsearch.FunnelHyperModel"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = run.stderr.splitlines()[-1]
    assert last.startswith("fvsearch.errors.MissingBackendError: FunnelHyperModel needs KerasTuner")
    assert last.endswith('`pip install "fvsearch[keras-tuner]"` installs it')


def test_without_tensorboard_one_sentence_says_that_tensorflow_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("keras.backend.backend", lambda: "tensorflow")
    with pytest.raises(MissingBackendError, match=r'pip install "fvsearch\[tensorboard\]"'):
        hypermodel()


def test_images_batch_size_and_epochs_may_be_given() -> None:
    model = hypermodel()
    hp = declared(model)
    (images, labels), validation = load_search_splits(DATA)
    history = model.fit(hp, model.build(hp), images[:8], labels[:8], epochs=1, validation_data=validation, verbose=0)
    assert len(history.history["val_top1"]) == 1
    history = model.fit(hp, model.build(hp), verbose=0)
    assert len(history.history["val_top1"]) == STUDY.recipe.epochs
    assert history.params["steps"] == 3


def test_a_training_that_goes_on_goes_on_with_its_learning_rate() -> None:
    recipe = Recipe(epochs=4, batch_size=12, warmup_epochs=1)
    model = hypermodel(recipe=recipe)
    hp = declared(model)
    built = model.build(hp)
    model.fit(hp, built, initial_epoch=2, epochs=3, verbose=0)
    assert float(built.optimizer.learning_rate) == pytest.approx(float(make_schedule(recipe, 3)(9)))


def test_what_is_scored_is_the_average_where_the_recipe_keeps_one() -> None:
    model = hypermodel(recipe=Recipe(epochs=1, batch_size=12, accumulate=2, ema=0.9))
    hp = declared(model)
    built = model.build(hp)
    history = model.fit(hp, built, verbose=0)
    assert history.params["steps"] == 6
    validation = load_search_splits(DATA).validation
    raw = built.evaluate(*validation, verbose=0, return_dict=True)
    built.optimizer.swap_average()
    judged = built.evaluate(*validation, verbose=0, return_dict=True)
    assert history.history["val_loss"][-1] == pytest.approx(judged["loss"], rel=1e-5) != raw["loss"]


def test_a_later_schedule_survives_saving() -> None:
    schedule = Later(make_schedule(STUDY.recipe, 3), 2)
    restored = Later(keras.saving.deserialize_keras_object(schedule.get_config()["schedule"]), 2)
    assert float(restored(1)) == float(schedule(1)) == pytest.approx(float(make_schedule(STUDY.recipe, 3)(3)))


def test_the_objective_is_the_first_that_training_tells() -> None:
    objectives = (Objective(name="memory", direction="minimize"), Objective(name="loss", direction="minimize"))
    assert str(hypermodel(objectives=objectives).objective) == str(keras_tuner.Objective("val_loss", "min"))
    assert str(hypermodel().objective) == str(keras_tuner.Objective("val_top1", "max"))


def test_hyperparameters_become_a_run_that_can_be_trained(tmp_path: Path) -> None:
    model = hypermodel()
    path = tmp_path / "run.toml"
    model.export(declared(model), path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Proposed by keras-tuner 1.")
    run = from_builtins(tomllib.loads(text), Run, source=str(path))
    assert run == model.run(declared(model).values)
    assert (run.arch, run.data, run.recipe) == (STUDY.baseline, DATA, STUDY.recipe)
    assert run.seed == derive_seed(STUDY.seed, STUDY.baseline.arch_hash, 0)


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path) -> None:
    script = (EXAMPLES / "keras_tuner_search.py").read_text(encoding="utf-8")
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    layout, score = run.stdout.splitlines()[-1].rsplit(maxsplit=1)
    assert layout.startswith("B") and 0.2 < float(score) <= 1
    assert (tmp_path / "runs" / "keras-tuner" / "run.toml").exists()

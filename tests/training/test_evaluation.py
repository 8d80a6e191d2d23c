"""Evaluations: numbers as NumPy counts them, and as the training itself told them."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from trainings import ARCH, DATA, RUN

from fvsearch.data import load
from fvsearch.errors import ConfigError, RunError
from fvsearch.models import build_model
from fvsearch.records import to_toml
from fvsearch.study import Data
from fvsearch.training.evaluation import Evaluation, evaluate_model, keep_evaluation, score
from fvsearch.training.fit import compile_for_evaluation, evaluate
from fvsearch.training.trained import chosen_data, read_trained
from fvsearch.weights.card import ModelCard, read_model, write_model


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A run's folder whose model has learned nothing."""
    folder = tmp_path / "trained"
    folder.mkdir()
    card = ModelCard(arch=ARCH, image_size=(8, 8), channels=1, num_classes=3, source="stripes")
    write_model(folder, build_model(ARCH, image_shape=(8, 8, 1), num_classes=3, seed=1), card)
    (folder / "run.toml").write_text(to_toml(RUN))
    return folder


def test_scores_are_as_counted_one_by_one() -> None:
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(size=(200, 7)).astype(np.float32) * 3, rng.integers(0, 6, 200).astype(np.int32)
    data = Data(source="shapes", image_size=8, channels=1, num_classes=7)
    found = score(logits, labels, data, "validation", "a test")
    order = np.argsort(-logits, axis=1)
    top1 = [label == row[0] for row, label in zip(order, labels, strict=True)]
    top5 = [label in row[:5] for row, label in zip(order, labels, strict=True)]
    likelihoods = np.exp(logits.astype(np.float64))
    likelihoods /= likelihoods.sum(axis=1, keepdims=True)
    assert (found.top1, found.top5, found.images) == (pytest.approx(np.mean(top1)), pytest.approx(np.mean(top5)), 200)
    assert found.loss == pytest.approx(-np.mean([np.log(row[label]) for row, label in zip(likelihoods, labels, strict=True)]))
    for label, one in enumerate(found.classes[:6]):
        mine = labels == label
        assert (one.label, one.images) == (label, mine.sum())
        assert (one.top1, one.top5) == (pytest.approx(np.mean(np.array(top1)[mine])), pytest.approx(np.mean(np.array(top5)[mine])))
        taken = order[:, 0] == label
        assert one.precision == (pytest.approx((taken & mine).sum() / taken.sum()))
        for other in range(7):
            assert found.confusion[label][other] == (mine & (order[:, 0] == other)).sum()
    assert (found.classes[6].images, found.classes[6].top1, found.classes[6].top5) == (0, None, None)


def test_logits_that_are_large_and_classes_that_nothing_is_taken_for() -> None:
    data = Data(source="shapes", image_size=8, channels=1, num_classes=2)
    found = score(np.array([[1e4, 0.0], [1e4, 0.0]], np.float32), np.array([0, 1], np.int32), data, "test", "a test")
    assert (found.loss, found.top1, found.top5) == (5e3, 0.5, 1.0)
    assert [one.precision for one in found.classes] == [0.5, None]


def test_a_model_is_scored_as_training_scores_it(trained: Path) -> None:
    found, splits = read_trained(trained), load(DATA)
    _, model = read_model(trained)
    compile_for_evaluation(model)
    for split, pair in (("validation", splits.validation), ("test", splits.test)):
        evaluated = evaluate_model(found, chosen_data(found, None), split)
        scores = evaluate(model, pair, RUN.recipe.batch_size)
        assert (evaluated.top1, evaluated.top5, evaluated.loss) == pytest.approx((scores["top1"], scores["top5"], scores["loss"]), rel=1e-5)
        assert evaluated.images == len(pair.labels) == 12
        path = keep_evaluation(trained, evaluated)
    assert set(msgspec.json.decode(path.read_bytes(), type=dict[str, Evaluation])) == {"validation", "test"}


def test_logits_that_are_no_numbers_are_not_scored(trained: Path, tmp_path: Path) -> None:
    card, model = read_model(trained)
    (tmp_path / "broken").mkdir()
    # Numbers, so that they are read, but too large to be added up.
    head = model.get_layer("head")
    head.kernel.assign(np.full(head.kernel.shape, 3e38, np.float32))
    write_model(tmp_path / "broken", model, card)
    with pytest.raises(RunError, match="logits must be finite to be scored, but those of 12 of 12 images are not"):
        evaluate_model(read_trained(tmp_path / "broken"), DATA, "validation")


def test_what_is_not_the_models_is_refused(trained: Path) -> None:
    found = read_trained(trained)
    with pytest.raises(ConfigError, match="of the model's 8x8x1 images and 3 classes, but got 16x16x1 images and 3 classes"):
        chosen_data(found, None, ["data.image_size=16"])
    with pytest.raises(ConfigError, match=r"unknown key `sauce` \(did you mean 'source'\?\) at data"):
        chosen_data(found, None, ["data.sauce=digits"])
    with pytest.raises(ConfigError, match="must be of `data`, but got recipe"):
        chosen_data(found, None, ["recipe.epochs=3"])
    untested = chosen_data(found, None, ["data.test=0.0"])
    with pytest.raises(ConfigError, match="must have a test split"):
        evaluate_model(found, untested, "test")


def test_a_folder_without_a_finished_model_is_one_sentence(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no folder .*nothing; give one that `fvsearch train` or `fvsearch import` has made"):
        read_trained(tmp_path / "nothing")
    with pytest.raises(ConfigError, match=r"has no model\.keras; `fvsearch train` and"):
        read_trained(tmp_path)
    (trained / "model.keras").unlink()
    (trained / "training.json").touch()
    with pytest.raises(ConfigError, match=rf"has not ended, so there is no model\.keras yet; `fvsearch train {trained}` goes on with it"):
        read_trained(trained)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "ledger.db").touch()
    with pytest.raises(ConfigError, match="holds a study, and a model's folder is wanted; `fvsearch export"):
        read_trained(tmp_path / "study")

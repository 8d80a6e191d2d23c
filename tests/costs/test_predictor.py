import pytest

from fvsearch.costs.formula import predict
from fvsearch.costs.predictor import Predictor
from fvsearch.library import load_study


def test_an_anchor_makes_the_baselines_prediction_its_measurement() -> None:
    found = load_study("quickstart")
    predictor = Predictor.anchored(found, memory=50e6, throughput=1234.0)
    assert predictor.baseline["memory"] == pytest.approx(50e6)
    assert predictor.baseline["throughput"] == pytest.approx(1234.0)
    other = found.space.arch({"stages.0.depth": 1})
    cost = predict(other, image_shape=(8, 8, 1), num_classes=10, batch_size=64)
    base = predict(found.baseline, image_shape=(8, 8, 1), num_classes=10, batch_size=64)
    assert predictor.costs(other)["throughput"] == pytest.approx(1234.0 * base.macs / cost.macs)
    factor = (50e6 - base.weight_memory) / base.activation_memory
    assert predictor.costs(other)["memory"] == pytest.approx(cost.weight_memory + factor * cost.activation_memory)


def test_a_device_below_the_formulas_weights_keeps_the_formula() -> None:
    found = load_study("quickstart")
    assert Predictor.anchored(found, memory=1.0, throughput=1.0).baseline["memory"] == Predictor(found).baseline["memory"]

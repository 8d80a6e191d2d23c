from pathlib import Path

import numpy as np
import pytest
from calibrated import CONDITIONS, MACHINE, MEMORY, STEP_TIME, STUDY, calibration, measured

from fvsearch.archs.layout import parse_layout
from fvsearch.calibrating.fit import error, fit_calibration, leave_groups_out, regress
from fvsearch.calibrating.sample import designed_sample
from fvsearch.calibrating.store import load_calibration, save_calibration
from fvsearch.costs.calibration import Skipped
from fvsearch.costs.conditions import Conditions, Items
from fvsearch.errors import RunError
from fvsearch.library import load_study
from fvsearch.study import Proposer
from fvsearch.study.budgets import Budget

SAMPLE = designed_sample(STUDY, 25)


def test_known_prices_are_found_again_also_where_features_differ_in_size() -> None:
    random = np.random.default_rng(0)
    features = random.uniform(1, 10, (30, 3)) * [1, 1e6, 1e-3]
    target = features @ [2.0, 3e-6, 0.0]
    assert regress(features, target, np.ones(30)) == pytest.approx([2.0, 3e-6, 0.0], abs=1e-9)


def test_no_price_is_negative() -> None:
    features = np.random.default_rng(0).uniform(1, 10, (30, 2))
    assert regress(features, features @ [1.0, -0.05], np.ones(30)).min() == 0


def test_an_arch_that_was_measured_badly_counts_little() -> None:
    features = np.random.default_rng(0).uniform(1, 10, (30, 2))
    target = features @ [1.0, 2.0]
    target[7] *= 2
    equal, by_noise = (regress(features, target, weights) for weights in (np.ones(30), np.where(np.arange(30) == 7, 1e-4, 1.0)))
    assert by_noise == pytest.approx([1.0, 2.0], rel=1e-3)
    assert equal != pytest.approx([1.0, 2.0], rel=1e-2)


def test_a_group_that_is_left_out_takes_no_part_in_its_prediction() -> None:
    features = np.random.default_rng(0).uniform(1, 10, (12, 2))
    groups = np.arange(12) % 3
    target = features @ [1.0, 2.0]
    odd = np.where(groups == 1, 3.0, 1.0)
    predicted = leave_groups_out(features, target * odd, np.ones(12), groups)
    assert predicted[groups == 1] == pytest.approx(target[groups == 1]), "as if it had never been measured"
    assert predicted[groups != 1] != pytest.approx(target[groups != 1], rel=0.05), "the others' fits saw it"


def test_predictions_are_anchored_on_the_baseline() -> None:
    features = np.random.default_rng(0).uniform(1, 10, (12, 2))
    target = features @ [1.0, 2.0]
    target[0] *= 1.1
    predicted = leave_groups_out(features, target, np.ones(12), np.arange(12) % 3)
    assert predicted[0] == pytest.approx(target[0])
    assert predicted[3::3] == pytest.approx(1.1 * (features @ [1.0, 2.0])[3::3]), "of folds that did not see the baseline"


def test_errors_are_by_hand() -> None:
    found = error(np.array([10.0, 11.0, 18.0, 33.0]), np.array([10.0, 10.0, 20.0, 30.0]))
    assert found.mape == pytest.approx(0.1)
    assert found.worst == pytest.approx(0.1)
    assert found.tau == pytest.approx(5 / 30**0.5)


def test_archs_that_cost_the_same_by_formula_have_no_order_and_are_kept_all_the_same(tmp_path: Path) -> None:
    equal = error(np.array([10.0, 10.0, 10.0]), np.array([10.0, 11.0, 12.0]))
    assert equal.tau == 0.0
    assert equal.mape == pytest.approx((1 / 11 + 2 / 12) / 2)
    heads = tuple(parse_layout(f"B2(17, h48, m96, a{count})", patch_size=2, image_size=8) for count in (1, 2, 3, 4, 6))
    alike = STUDY.with_settings(space=None, baseline=heads[0], engine=Proposer(name="listed", archs=heads))
    conditions = Conditions.of(alike, "jax")
    assert len({conditions.cost(arch).macs for arch in heads}) == 1
    found = fit_calibration(conditions, MACHINE, measured(heads, alike, slower={2: 1.1, 4: 1.3}))
    assert found.step_time.formula_error.tau == 0.0
    save_calibration(found, tmp_path / "kept.json")
    assert load_calibration(tmp_path / "kept.json") == found


def test_a_device_whose_prices_the_items_can_say_is_predicted_exactly_on_patterns_never_seen() -> None:
    found = calibration()
    for fit in (found.memory, found.step_time):
        assert fit.source == "regression"
        assert fit.error.worst < 1e-3
        assert fit.margin < 1e-3
        assert fit.error.mape < fit.formula_error.mape / 10
    assert found.left_out == "patterns"
    strange = STUDY.space.arch({"stages.0.depth": 2, "stages.0.mlp_dim": 64, "stages.1.depth": 1, "stages.1.width": 48})
    items, base = Items(CONDITIONS, strange), Items(CONDITIONS, STUDY.baseline)
    assert items.total(found.memory.prices) == pytest.approx(items.total(MEMORY), rel=1e-3)
    ratio = items.total(STEP_TIME) / base.total(STEP_TIME)
    assert items.total(found.step_time.prices) == pytest.approx(ratio, rel=1e-3)


def test_where_the_formula_errs_less_it_stays() -> None:
    archs = designed_sample(STUDY, 25)
    by_formula = []
    base = Items(CONDITIONS, STUDY.baseline).own
    for sampled in measured(archs):
        cost = CONDITIONS.cost(sampled.arch)
        by_formula.append(
            type(sampled)(
                **{name: getattr(sampled, name) for name in ("arch", "layout", "pattern", "throughput")},
                memory=round(cost.weight_memory + 1.9 * cost.activation_memory),
                ratio=base.macs / cost.macs,
                ratio_low=base.macs / cost.macs,
                ratio_high=base.macs / cost.macs,
            )
        )
    found = fit_calibration(CONDITIONS, MACHINE, by_formula)
    assert found.step_time.source == "formula" or found.step_time.error.mape < 1e-6
    assert found.memory.error.mape <= found.memory.formula_error.mape < 1e-6


def test_one_stage_pattern_leaves_out_archs_and_says_so() -> None:
    unpooled = load_study("quickstart", ["space.stages.1.pool_stride=1", "space.stages.2.depth=0"])
    found = calibration(unpooled)
    assert found.left_out == "archs"


def test_too_few_archs_are_refused_with_the_reason_of_those_skipped() -> None:
    skipped = [Skipped(arch=SAMPLE[9], layout="B9(17)", reason="the device's memory ran out")]
    with pytest.raises(
        RunError, match=r"at least 5 measured archs, but 4 were measured and 1 skipped \(B9\(17\): the device's memory ran out"
    ):
        fit_calibration(CONDITIONS, MACHINE, measured(SAMPLE[:4]), skipped)


def test_inference_can_be_calibrated_too() -> None:
    study = STUDY.with_settings(budget=Budget(memory="1.0x", phase="inference"))
    found = calibration(study)
    assert found.conditions.phase == "inference"
    assert found.step_time.error.mape < 1e-3

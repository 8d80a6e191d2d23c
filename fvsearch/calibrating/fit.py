"""Fits predictors of memory and step time to measured archs, and says how they err on stage patterns that they never saw.

The closed form's items are the features; a regression with no negative coefficient weighs them, in relative error. A negative price of
an operation or a byte would fit noise, and predict nonsense outside the sample.
"""

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from fvsearch.costs.calibration import Calibration, Error, Machine, Predicted, Quantity, Sampled, Skipped, Source
from fvsearch.costs.conditions import FORMULA_STEP_TIME, Conditions, Items, Prices
from fvsearch.errors import RunError
from fvsearch.ledger import now

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

LEAST_ARCHS = 5
"""Below this many there is nothing to fit."""

REGRESSED_ON: dict[Quantity, tuple[str, ...]] = {
    "memory": ("constant", "num_params", "attention_bytes", "mlp_bytes", "map_bytes", "other_bytes", "passing_bytes"),
    "step_time": ("constant", "blocks", "boundaries", "tokens", "heads", "num_params", "macs", "attention", "mlp", "maps"),
}
"""What each is regressed on."""

ITEMS_ERR = 0.02
"""What the items leave out of a step, roughly, as a share of it: an interval much narrower than this makes an arch count no more."""

ANCHOR_COUNTS = 5
"""As many archs as the baseline counts for: every prediction is anchored on it, so where the fit errs on it all predictions err."""

MARGIN_SHARE = 0.9
"""Share of the left-out archs whose error is within the margin."""


def fit_calibration(conditions: Conditions, machine: Machine, sample: Sequence[Sampled], skipped: Sequence[Skipped] = ()) -> Calibration:
    """The calibration that the measurements make.

    Args:
        conditions: Of the study.
        machine: That the sample was measured on.
        sample: The baseline first.
        skipped: For the record.

    Raises:
        RunError: There are too few archs to fit anything.
    """
    if len(sample) < LEAST_ARCHS:
        raise RunError(
            f"a calibration needs at least {LEAST_ARCHS} measured archs, but {len(sample)} were measured and {len(skipped)} skipped"
            + (f" ({skipped[0].layout}: {skipped[0].reason})" if skipped else "")
        )
    patterns = [arch.pattern for arch in sample]
    left_out: Literal["patterns", "archs"] = "patterns" if len(set(patterns)) > 1 else "archs"
    groups = [sorted(set(patterns)).index(one) for one in patterns] if left_out == "patterns" else list(range(len(sample)))
    items = [Items(conditions, arch.arch) for arch in sample]
    memory = [float(arch.memory) for arch in sample]
    return Calibration(
        conditions=conditions,
        machine=machine,
        memory=_predicted("memory", items, memory, [0.0] * len(sample), groups, items[0].formula_memory(memory[0])),
        step_time=_predicted(
            "step_time",
            items,
            [1 / arch.ratio for arch in sample],
            [arch.half_width for arch in sample],
            groups,
            items[0].scaled(FORMULA_STEP_TIME, 1.0),
        ),
        left_out=left_out,
        sample=tuple(sample),
        skipped=tuple(skipped),
        made=now(),
    )


def _predicted(
    quantity: Quantity,
    items: Sequence[Items],
    measured: Sequence[float],
    noise: Sequence[float],
    groups: Sequence[int],
    formula: Prices,
) -> Predicted:
    """The regression of one quantity beside the closed form; what errs less is the source.

    Args:
        quantity: Which.
        items: Of each arch, the baseline first.
        measured: Of each arch.
        noise: How far each measurement may be off, as a share of it.
        groups: Of each arch; what is left out together.
        formula: The closed form, scaled on the baseline alone.
    """
    import numpy as np

    names = REGRESSED_ON[quantity]
    features, target = np.array([[item[name] for name in names] for item in items]), np.array(measured)
    weights = 1 / (ITEMS_ERR**2 + np.array(noise) ** 2)
    weights[0] *= ANCHOR_COUNTS
    prices = {name: float(price) for name, price in zip(names, regress(features, target, weights), strict=True) if price}
    by_formula = np.array([item.total(formula) for item in items])
    by_regression = leave_groups_out(features, target, weights, np.array(groups))
    found = {"regression": (prices, by_regression), "formula": (formula, by_formula)}
    errors = {source: error(predicted, target) for source, (_, predicted) in found.items()}
    source: Source = "regression" if errors["regression"].mape < errors["formula"].mape else "formula"
    chosen, left_out = found[source]
    return Predicted(
        source=source,
        prices=chosen,
        regression_error=errors["regression"],
        formula_error=errors["formula"],
        margin=float(np.quantile(np.abs(left_out / target - 1)[1:], MARGIN_SHARE)),
        left_out=tuple(left_out.tolist()),
    )


def regress(features: "Vector", target: "Vector", weights: "Vector") -> "Vector":
    """Prices (features,), none negative, that minimise the weighted squared relative error of `features @ prices`.

    Args:
        features: (archs, features).
        target: (archs,), positive.
        weights: (archs,).
    """
    import numpy as np
    from sklearn.linear_model import LinearRegression

    # Divided by the target, an arch's residual is its relative error; divided by its largest, each feature counts alike.
    relative = features / target[:, None]
    scale = np.maximum(relative.max(axis=0), np.finfo(float).tiny)
    model = LinearRegression(positive=True, fit_intercept=False).fit(relative / scale, np.ones_like(target), weights)
    found: Vector = model.coef_ / scale
    return found


def leave_groups_out(features: "Vector", target: "Vector", weights: "Vector", groups: "Vector") -> "Vector":
    """Each arch as predicted by a regression that saw none of its group, anchored on the baseline's measurement as `run` does it.

    Args:
        features: (archs, features), the baseline's first.
        target: (archs,).
        weights: (archs,).
        groups: (archs,).
    """
    import numpy as np
    from sklearn.model_selection import LeaveOneGroupOut

    predicted = np.empty_like(target)
    for seen, unseen in LeaveOneGroupOut().split(features, target, groups):
        prices = regress(features[seen], target[seen], weights[seen])
        predicted[unseen] = features[unseen] @ prices * target[0] / (features[0] @ prices)
    return predicted


def error(predicted: "Vector", measured: "Vector") -> Error:
    """How predictions (archs,) err from measurements (archs,); the baseline, right by its anchor, is left out of the mean."""
    import numpy as np
    from scipy.stats import kendalltau

    relative = np.abs(predicted / measured - 1)
    tau = float(kendalltau(predicted, measured).statistic)
    return Error(
        mape=statistics.fmean(relative[1:].tolist()),
        worst=float(relative.max()),
        tau=0.0 if math.isnan(tau) else tau,  # Where all are predicted alike, or measured alike, there is no order to find.
    )

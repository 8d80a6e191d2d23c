"""What a surrogate sees of an arch: named numbers, in which accuracy is smoother than in the params that are searched.

Costs are of the blocks alone, by the leading terms: they need not be exact here.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fvsearch.engines.front.archs import Archs

Matrix: TypeAlias = NDArray[np.float64]


def features(archs: Archs, image_shape: tuple[int, int, int]) -> dict[str, Matrix]:
    """By name, (archs,).

    Of a whole arch: what it can hold (parameters), what it does (multiply-adds), how deep it is, how wide and how narrow, its MLPs, what it
    reads (patch size), how many stages it has, and whether keys and values are pooled too ("queries": not they alone). Of each stage: its
    blocks, tokens and width, its MLP's ratio, and how it pools. A stage that an arch does not have repeats the last one's tokens, width and
    ratio, and has no blocks.
    """
    depth, width, mlp_dim = (archs[name].astype(float) for name in ("depth", "width", "mlp_dim"))
    there = depth > 0
    tokens = archs.tokens(image_shape).astype(float)
    weights = depth * (4 * width + 2 * mlp_dim) * width
    macs = tokens * (weights + 2 * depth * tokens * width)
    blocks = depth.sum(axis=1)
    last = there.sum(axis=1) - 1
    held = _held(np.where(there, width, 1.0), last)
    ratio = _held(np.where(there, mlp_dim, 1.0), last) / held
    pools = archs["pool_stride"] > 1
    found = {
        "params": np.log(weights.sum(axis=1)),
        "macs": np.log(macs.sum(axis=1)),
        "depth": np.log(blocks),
        "width": np.log((width * depth).sum(axis=1) / blocks),
        "narrowest": np.log(held.min(axis=1)),
        "ratio": np.log((mlp_dim * depth).sum(axis=1) / (width * depth).sum(axis=1)),
        "patch_size": np.log(archs["patch_size"]),
        "stages": last.astype(float),
        "queries": (pools.any(axis=1) & (archs["pool_query_only"] == 0)).astype(float),
    }
    for stage in range(depth.shape[1]):
        found[f"depth.{stage}"] = np.log1p(depth[:, stage])
        found[f"tokens.{stage}"] = np.log(tokens[:, stage])
        found[f"width.{stage}"] = np.log(held[:, stage])
        found[f"ratio.{stage}"] = np.log(ratio[:, stage])
        found[f"max_pooling.{stage}"] = (archs["max_pooling"][:, stage] > 0).astype(float)
    return found


def _held(values: Matrix, last: NDArray[np.int64]) -> Matrix:
    """(archs, stages) values, those after each arch's last stage as that stage's."""
    columns = np.minimum(np.arange(values.shape[1]), last[:, None])
    return np.take_along_axis(values, columns, axis=1)


WEIGHTS = {"params": 2.0, "macs": 2.0}
"""How much more than another a feature counts; size tells most. On 200 trained archs the surrogate then explained 61, 71 and 78% of the
variance of others' accuracy after 8, 16 and 32 of them, and 59, 70 and 78% with all alike. Shares of each stage in parameters and
multiply-adds added nothing to what the features tell."""


SLOPES = {"params": 0.4, "macs": 0.4}
"""How much accuracy is expected to rise with a feature before anything is seen: standard deviations of accuracy for one of the feature's.

That of two archs of one cost the larger does more is what all of the field's tables say. How much more was chosen on the digits of
docs/search.md, where half of it and one and a half times as much did nearly as well, and none of it worse."""


class Scale:
    """Features as a model sees them: those that differ, centred, in units of their spread over the archs that it was made from, weighed.

    Args:
        reference: By name, (archs,): archs of the space, many enough to tell the spread.

    Attributes:
        names: Of the features that differ.
        slopes: (names,) by which accuracy is expected to rise with each as a model sees it, in its standard deviations.
    """

    def __init__(self, reference: dict[str, Matrix]) -> None:
        spread = {name: float(values.std()) for name, values in reference.items()}
        self.names = tuple(name for name, value in spread.items() if value > 1e-9 * (1 + float(np.abs(reference[name]).max())))
        self._centre = np.array([reference[name].mean() for name in self.names])
        self._spread = np.array([spread[name] for name in self.names])
        weights = np.array([WEIGHTS.get(name, 1.0) for name in self.names])
        # On average as much as if all counted alike: what a length or a slope is in units of does not change.
        self._weights = weights / np.sqrt(np.mean(weights**2)) if self.names else weights
        self.slopes = np.array([SLOPES.get(name, 0.0) for name in self.names]) / self._weights

    def plain(self, found: dict[str, Matrix], name: str) -> Matrix:
        """(archs,) of one feature in units of its spread, not weighed; 0 where archs do not differ in it."""
        if name not in self.names:
            return np.zeros(len(found[name]))
        index = self.names.index(name)
        return np.asarray((found[name] - self._centre[index]) / self._spread[index])

    def __call__(self, found: dict[str, Matrix]) -> Matrix:
        """(archs, names) of the same features."""
        if not self.names:
            return np.zeros((len(next(iter(found.values()))), 0))
        return (np.stack([found[name] for name in self.names], axis=1) - self._centre) / self._spread * self._weights

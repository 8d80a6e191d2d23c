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

    Of a whole arch: what it can hold (parameters), what it does (multiply-adds), how deep and how wide it is, what it reads (patch size)
    and how much is left at the end. Of each stage: its share of both costs, its tokens and its width against the first's, its MLP's ratio,
    and how it pools. A stage that an arch does not have repeats the last one's tokens and width, and has no share.
    """
    depth, width, mlp_dim = (archs[name].astype(float) for name in ("depth", "width", "mlp_dim"))
    there = depth > 0
    tokens = archs.tokens(image_shape).astype(float)
    weights = depth * (4 * width + 2 * mlp_dim) * width
    macs = tokens * (weights + 2 * depth * tokens * width)
    all_weights, all_macs, blocks = (part.sum(axis=1) for part in (weights, macs, depth))
    last = there.sum(axis=1) - 1
    held = _held(np.where(there, width, 1.0), last)
    ratio = _held(np.where(there, mlp_dim, 1.0), last) / held
    pools = archs["pool_stride"] > 1
    found = {
        "params": np.log(all_weights),
        "macs": np.log(all_macs),
        "depth": np.log(blocks),
        "width": np.log((width * depth).sum(axis=1) / blocks),
        "ratio": np.log((mlp_dim * depth).sum(axis=1) / (width * depth).sum(axis=1)),
        "patch_size": np.log(archs["patch_size"]),
        "stages": last.astype(float),
        "queries": (pools.any(axis=1) & (archs["pool_query_only"] == 0)).astype(float),
    }
    for stage in range(depth.shape[1]):
        found[f"params.{stage}"] = weights[:, stage] / all_weights
        found[f"macs.{stage}"] = macs[:, stage] / all_macs
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


class Scale:
    """Features as a model sees them: those that differ, centred, in units of their spread over the archs that it was made from.

    Args:
        reference: By name, (archs,): archs of the space, many enough to tell the spread.
    """

    def __init__(self, reference: dict[str, Matrix]) -> None:
        spread = {name: float(values.std()) for name, values in reference.items()}
        self.names = tuple(name for name, value in spread.items() if value > 1e-9 * (1 + float(np.abs(reference[name]).max())))
        self._centre = np.array([reference[name].mean() for name in self.names])
        self._spread = np.array([spread[name] for name in self.names])

    def __call__(self, found: dict[str, Matrix]) -> Matrix:
        """(archs, names) of the same features."""
        if not self.names:
            return np.zeros((len(next(iter(found.values()))), 0))
        return (np.stack([found[name] for name in self.names], axis=1) - self._centre) / self._spread

"""transfer: the weights of one model, moved into another of `build_model`'s. `Transferred` says where each went.

Layers pair as `pairs.py` says: blocks in order over the whole encoder, all else by name. Of a pair, weights move by their name within
the layer:

- A weight of the same shape has the source's values, bit for bit. Pooling has no weights: at equal widths ViT and Funnel-ViT exchange all.
- Positions of the same width on another grid of patches are interpolated (`positions.py`), also where the number of patches is the same.
- A weight of another shape, or one that the source lacks, stays as it is in the target, and so does the bias to a kernel that stays.
  Nothing is cut, padded or averaged to fit: not patches of another size or for other channels, not narrower or wider blocks.
- The head moves where the number of classes is the same. Whether the classes are the same, the caller must know.

Seed generators and an optimizer's state are no weights, and stay.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import keras

from fvsearch.errors import ConfigError
from fvsearch.models import PositionEmbedding
from fvsearch.weights.pairs import pair_layers
from fvsearch.weights.positions import resize_positions
from fvsearch.weights.transferred import Grid, Loaded, Reason, Resized, Skipped, Transferred

SETTINGS = ("num_heads", "activation", "norm_epsilon", "epsilon")
"""Attributes of layers by which the same weights compute something else."""

Layer: TypeAlias = keras.layers.Layer
Weights: TypeAlias = dict[str, keras.Variable]


class _Move(NamedTuple):
    """A weight of the target that is to have the values of one of the source's."""

    record: Loaded | Resized
    weight: keras.Variable
    origin: keras.Variable


def transfer(source: keras.Model, target: keras.Model) -> Transferred:
    """Move what fits of a model's weights into another, and say what became of each.

    Args:
        source: As `build_model` makes it, or read from a model's folder; left as it is.
        target: Likewise; its weights change.

    Raises:
        ConfigError: A model has no encoder blocks by the names of `build_model`, or weights that are no floating-point numbers; the target
            is left as it was.
    """
    for model in (source, target):
        _require_floats(model)
    pairs = pair_layers(source, target)
    plans = [plan for layer, other in pairs for plan in _plans(layer, other)]
    moves = [plan for plan in plans if isinstance(plan, _Move)]
    for move in moves:
        _carry_out(move)
    used = {move.origin.path for move in moves}
    return Transferred(
        loaded=tuple(move.record for move in moves if isinstance(move.record, Loaded)),
        resized=tuple(move.record for move in moves if isinstance(move.record, Resized)),
        skipped=tuple(plan for plan in plans if isinstance(plan, Skipped)),
        unused=tuple(weight.path for weight in source.weights if weight.path not in used),
        notes=(*_otherwise(pairs, used), *_rounded(moves)),
    )


def _plans(layer: Layer, other: Layer | None) -> Iterator[_Move | Skipped]:
    """What is to become of each weight of a target's layer, whose pair in the source is `other`."""
    ours, theirs = _by_name(layer), _by_name(other) if other is not None else {}
    grids = _grids(layer, other)
    for name, weight in ours.items():
        origin, obstacle = theirs.get(name), _obstacle(name, ours, theirs)
        if origin is not None and grids and origin.shape[-1] == weight.shape[-1]:
            yield _Move(Resized(weight=weight.path, source=origin.path, from_grid=grids[0], to_grid=grids[1]), weight, origin)
        elif obstacle is not None:
            source_shape = tuple(origin.shape) if origin is not None else None
            yield Skipped(weight=weight.path, reason=obstacle, shape=tuple(weight.shape), source_shape=source_shape)
        else:
            yield _Move(Loaded(weight=weight.path, source=theirs[name].path), weight, theirs[name])


def _by_name(layer: Layer) -> Weights:
    """A layer's weights by their path within it, such as "query/kernel"."""
    return {weight.path.partition(f"{layer.name}/")[2]: weight for weight in layer.weights}


def _grids(layer: Layer, other: Layer | None) -> tuple[Grid, Grid] | None:
    """The source's grid and the target's of a pair of positions, where they differ."""
    if not (isinstance(layer, PositionEmbedding) and isinstance(other, PositionEmbedding)) or layer.grid == other.grid:
        return None
    return other.grid, layer.grid


def _obstacle(name: str, ours: Weights, theirs: Weights) -> Reason | None:
    """Why a layer's weight cannot have the values of its namesake; none where it can."""
    if name not in theirs:
        return "missing"
    if tuple(ours[name].shape) != tuple(theirs[name].shape):
        return "shape"
    if name.endswith("bias"):
        kernel = f"{name.removesuffix('bias')}kernel"
        return "kernel" if kernel in ours and _obstacle(kernel, ours, theirs) else None
    return None


def _carry_out(move: _Move) -> None:
    """By way of the host: on JAX two models that shared a buffer would lose it when one of them trains."""
    value = keras.ops.convert_to_numpy(move.origin)
    if isinstance(move.record, Resized):
        value = resize_positions(value, move.record.from_grid, move.record.to_grid)
    move.weight.assign(value)


def _otherwise(pairs: list[tuple[Layer, Layer | None]], used: set[str]) -> Iterator[str]:
    """Notes of settings by which layers read the same weights otherwise than the source's."""
    changes: Counter[tuple[str, object, object]] = Counter()
    for layer, other in pairs:
        if other is not None and any(weight.path in used for weight in other.weights):
            settings = ((name, getattr(other, name, None), getattr(layer, name, None)) for name in SETTINGS)
            changes.update(setting for setting in settings if setting[1] != setting[2])
    for (name, theirs, ours), count in changes.items():
        yield f"in {count} of the layers {name} is {ours}, and {theirs} in the source"


def _rounded(moves: list[_Move]) -> Iterator[str]:
    """Notes of weights whose values the target's dtype cannot hold."""
    dtypes = Counter((move.origin.dtype, move.weight.dtype) for move in moves)
    for (theirs, ours), count in dtypes.items():
        if keras.backend.result_type(theirs, ours) != ours:
            yield f"{count} weights were rounded from {theirs} to {ours}"


def _require_floats(model: keras.Model) -> None:
    for weight in model.weights:
        if not keras.backend.is_float_dtype(weight.dtype):
            raise ConfigError(
                f"weights must be floating-point numbers to be moved, but {weight.path} of {model.name} is {weight.dtype}; "
                "take the model as it was before it was quantized"
            )

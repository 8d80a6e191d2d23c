"""What a step depends on beside its arch, and the items that its costs are summed from, each at its price.

The formula is one list of prices; a calibration is another (calibration.py). Prediction is a sum of products in plain Python.
"""

import hashlib
import itertools
from collections.abc import Callable
from functools import cached_property

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import stage_tokens
from fvsearch.costs.cost import ACTIVATION_FACTOR, Cost, Part
from fvsearch.costs.formula import predict
from fvsearch.costs.habits import COMMON, HABITS, Attention
from fvsearch.records import Record, to_builtins
from fvsearch.study import Study
from fvsearch.study.budgets import Phase
from fvsearch.study.recipe import DType, Optimizer

Pattern = tuple[int, ...]
"""Token counts by stage: how many stages there are, and where the sequence shrinks by how much."""

Prices = dict[str, float]
"""What an item adds, by name: to memory in bytes, to step time in any unit."""

FORMULA_MEMORY: Prices = {"weights": 1.0, "activations": ACTIVATION_FACTOR}
FORMULA_STEP_TIME: Prices = {"macs": 1.0}
"""The closed form as prices, where nothing is known of the device."""


def pattern(arch: Arch, image_shape: tuple[int, int, int]) -> Pattern:
    """The arch's stage pattern."""
    return stage_tokens(arch, image_shape)


class Conditions(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What the step of a study's archs depends on, the arch and the machine aside; what came later has a default, which no digest holds.

    Attributes:
        space: Name of the space, or "listed".
        archs: Digest of what the space or the list holds.
        baseline: Hash of the arch that all others are compared with.
        backend: Empty where it is not known.
        image_shape: (height, width, channels).
        clip: Whether the gradient's norm is clipped.
        ema: Whether the weights are averaged.
        accumulate: Steps of the device in an optimizer step.
    """

    space: str
    archs: str
    baseline: str
    backend: str
    image_shape: tuple[int, int, int]
    num_classes: int
    batch_size: int
    dtype: DType
    phase: Phase
    optimizer: Optimizer
    dropout: float
    stochastic_depth: float
    clip: bool
    ema: bool = False
    accumulate: int = 1

    @classmethod
    def of(cls, study: Study, backend: str = "") -> "Conditions":
        """Those of a study."""
        recipe = study.recipe
        return cls(
            space=study.space.name if study.space else "listed",
            archs=_digest_archs(study),
            baseline=study.baseline.arch_hash,
            backend=backend,
            image_shape=study.data.image_shape,
            num_classes=study.data.num_classes,
            batch_size=study.cost_batch_size,
            dtype=recipe.dtype,
            phase=study.budget.phase,
            optimizer=recipe.optimizer,
            dropout=recipe.dropout,
            stochastic_depth=recipe.stochastic_depth,
            clip=recipe.clip_norm is not None,
            ema=recipe.ema is not None,
            accumulate=recipe.accumulate,
        )

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits, equal for equal conditions."""
        return _digest(to_builtins(self))

    def cost(self, arch: Arch, phase: Phase | None = None, attention: Attention | None = None) -> Cost:
        """The arch's costs by formula, phase and attention as they are here unless said."""
        habits = HABITS.get(self.backend, COMMON)
        return predict(
            arch,
            image_shape=self.image_shape,
            num_classes=self.num_classes,
            batch_size=self.batch_size,
            dtype=self.dtype,
            phase=phase or self.phase,
            optimizer=self.optimizer,
            ema=self.ema,
            accumulates=self.accumulate > 1,
            attention=attention or habits["attention"],
            hidden=habits["hidden"],
            outputs=habits["outputs"],
        )


class Items:
    """What an arch's memory and step time are summed from: items["macs"], and so on, as `ITEMS` has them; each is computed when asked for.

    Attributes:
        arch: Whose.
        batch_size: Images per step.
        own: The arch's costs, as the conditions have them.
    """

    def __init__(self, conditions: Conditions, arch: Arch) -> None:
        self._conditions = conditions
        self.arch = arch
        self.batch_size = conditions.batch_size
        self.own = conditions.cost(arch)

    @cached_property
    def kept(self) -> Cost:
        """In training, every attention score kept."""
        return self._conditions.cost(self.arch, "training", "kept")

    @cached_property
    def fused(self) -> Cost:
        """In training, no attention score kept."""
        return self._conditions.cost(self.arch, "training", "fused")

    @cached_property
    def passing(self) -> Cost:
        """In inference: the largest part of a block is all that is alive."""
        return self._conditions.cost(self.arch, "inference")

    @property
    def tokens(self) -> Pattern:
        """By stage."""
        return pattern(self.arch, self._conditions.image_shape)

    def __getitem__(self, name: str) -> float:
        return ITEMS[name](self)

    def total(self, prices: Prices) -> float:
        """The sum of the items, each at its price."""
        return sum([price * ITEMS[name](self) for name, price in prices.items()])

    def scaled(self, prices: Prices, measured: float) -> Prices:
        """Prices times the one number that makes their total what was measured."""
        scale = measured / self.total(prices)
        return {name: price * scale for name, price in prices.items()}

    def formula_memory(self, measured: float) -> Prices:
        """The closed form with the bytes per activation that make its total what was measured."""
        # A device that keeps less than weights and moments (it shares or never holds some) leaves nothing to scale by: keep the formula.
        kept = measured - self["weights"]
        return {"weights": 1.0, "activations": kept / self["activations"]} if kept > 0 else FORMULA_MEMORY


def _elements(cost: Cost, *parts: Part) -> float:
    return cost.batch_size * sum([item.activations for item in cost.items if item.part in parts])


def _bytes(cost: Cost, *parts: Part) -> float:
    return cost.batch_size * sum([item.activation_bytes for item in cost.items if item.part in parts])


def _block_tokens(items: Items) -> list[int]:
    """By stage, tokens times blocks."""
    return [tokens * stage.depth for tokens, stage in zip(items.tokens, items.arch.stages, strict=True)]


def _boundaries(arch: Arch) -> float:
    return sum([after.pool_stride > 1 or after.width != before.width for before, after in itertools.pairwise(arch.stages)])


ITEMS: dict[str, Callable[[Items], float]] = {
    "constant": lambda items: 1.0,
    # What has operations to start, however small.
    "blocks": lambda items: items.arch.depth,
    "boundaries": lambda items: _boundaries(items.arch),
    # What small operations are done for one by one: rows of matrices, and the batch's matrices of attention.
    "tokens": lambda items: items.batch_size * sum(_block_tokens(items)),
    "heads": lambda items: items.batch_size * sum([stage.depth * stage.num_heads for stage in items.arch.stages]),
    # Of the batch's forward pass.
    "macs": lambda items: items.batch_size * items.own.macs,
    "num_params": lambda items: items.own.num_params,
    # Elements that all blocks make, of the batch: norms, gelu, softmax and drops read and write them.
    "attention": lambda items: _elements(items.fused, "attention"),
    "mlp": lambda items: _elements(items.fused, "mlp"),
    "maps": lambda items: _elements(items.kept, "attention") - _elements(items.fused, "attention"),
    # Bytes of the batch, as they are kept for the backward pass; in inference, of the largest part alone.
    "attention_bytes": lambda items: _bytes(items.fused if items.own.phase == "training" else items.own, "attention"),
    "mlp_bytes": lambda items: _bytes(items.own, "mlp"),
    "map_bytes": lambda items: _bytes(items.kept, "attention") - _bytes(items.fused, "attention") if items.own.phase == "training" else 0.0,
    "other_bytes": lambda items: _bytes(items.own, "patch", "projection", "head"),
    "passing_bytes": lambda items: items.passing.activation_memory,
    # The formula's own.
    "weights": lambda items: items.own.weight_memory,
    "activations": lambda items: items.own.activation_memory,
}
"""What can have a price: a number of an arch, at the conditions."""


def _digest_archs(study: Study) -> str:
    if study.space is None:
        return _digest(sorted({arch.arch_hash for arch in study.engine.archs}))
    content = to_builtins(study.space)
    return _digest({name: value for name, value in content.items() if name not in ("name", "description")})


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:12]

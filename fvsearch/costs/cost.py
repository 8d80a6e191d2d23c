"""Cost: what an arch costs, as a frozen record of items by part and stage; formula.py makes it.

The items are the one source: every total is a sum over them, so a total and its breakdown cannot disagree.
"""

from typing import Literal

from fvsearch.costs.dtypes import FLOAT32, WIDTHS
from fvsearch.records import Record
from fvsearch.study.budgets import Phase
from fvsearch.study.recipe import DType, Optimizer

Part = Literal["patch", "projection", "attention", "mlp", "head"]

MOMENTS: dict[Optimizer, int] = {"adamw": 2, "sgd": 1}
"""Numbers that an optimizer keeps of each parameter; SGD's is the momentum."""

ACTIVATION_FACTOR = 1.2
"""What a device keeps per byte of activations that the formula counts (the k of `Cost.memory`), where it has not been measured.

Between what the backends' meters say of training steps in float32 on a CPU, counted by their habits (habits.py), of baselines at 17 tokens
and at ViT-Ti's 197: PyTorch 0.97 in both, TensorFlow 0.93 and 0.87, JAX 1.25 and 1.44. XLA on a CPU keeps transposed copies, exponentials
beside softmaxes and pieces of gelus. A device's own factor comes from one measurement, and ratios of archs hardly depend on it.
docs/memory.md has the table, `python benchmarks/memory.py` makes it.
"""


class Item(Record, frozen=True):
    """The share of one part of one stage.

    Attributes:
        part: "patch" (patches, class token, positions), "projection" (a boundary's change of width), "attention" and "mlp" (of all the
            stage's blocks, each with its layer norm) or "head" (last layer norm and classifier).
        stage: Index of the stage; none for patch and head.
        num_params: Count of weights.
        macs: Multiply-adds of one image's forward pass, matrix products only: a norm, a softmax, a bias or a pooling counts nothing.
        activations: Elements per image that a backward pass needs.
        largest: Elements per image that are there at once in one block, the stage's largest, where none is kept for a backward pass; none
            but attention and mlp have blocks.
        activation_bytes: What the part holds per image at the peak of a step, in bytes: in training all its activations; in inference
            `largest`, and nothing where another part's is more; on backends that hold outputs, those besides.
    """

    part: Part
    stage: int | None
    num_params: int
    macs: int
    activations: int
    largest: int
    activation_bytes: int


class Cost(Record, frozen=True, kw_only=True):
    """What an arch costs at one batch size, dtype and phase.

    Attributes:
        items: By part and stage, in the order of the forward pass.
        batch_size: Images per step; `memory` is of the batch, all else of one image.
        dtype: Keras's dtype policy.
        phase: "training" or "inference".
        optimizer: "adamw" or "sgd" (with momentum); inference has none.
        ema: Whether the optimizer keeps an average of the weights.
        accumulates: Whether it keeps the sum of gradients of several steps.
    """

    items: tuple[Item, ...]
    batch_size: int
    dtype: DType
    phase: Phase
    optimizer: Optimizer
    ema: bool = False
    accumulates: bool = False

    @property
    def num_params(self) -> int:
        """Count of weights, equal to the built model's `count_params()`."""
        return sum([item.num_params for item in self.items])

    @property
    def macs(self) -> int:
        """Multiply-adds of one image's forward pass, matrix products only."""
        return sum([item.macs for item in self.items])

    @property
    def flops(self) -> int:
        """Floating-point operations of one image's forward pass: 2 macs."""
        return 2 * self.macs

    @property
    def activations(self) -> int:
        """Elements per image that are alive at the peak: training keeps all, inference the images and the largest block's.

        Outputs that a backend holds in inference are not among them.
        """
        if self.phase == "training":
            return sum([item.activations for item in self.items])
        return self.items[0].activations + max([item.largest for item in self.items])

    @property
    def memory(self) -> int:
        """Peak device bytes: weight_memory + ACTIVATION_FACTOR * activation_memory, summed over the items, each in whole bytes."""
        return sum([self.memory_of(item) for item in self.items])

    @property
    def weight_memory(self) -> int:
        """Bytes that do not grow with the batch: weights, and in training their gradients, what the optimizer keeps and narrower copies."""
        return self.weight_bytes * self.num_params

    @property
    def weight_bytes(self) -> int:
        """Bytes of `weight_memory` per parameter."""
        if self.phase == "inference":
            return FLOAT32
        slots = MOMENTS[self.optimizer] + self.ema + self.accumulates
        return (2 + slots) * FLOAT32 + WIDTHS[self.dtype].cast

    @property
    def activation_memory(self) -> int:
        """Bytes of the batch's activations, as the formula counts them."""
        return self.batch_size * sum([item.activation_bytes for item in self.items])

    def memory_of(self, item: Item) -> int:
        """An item's share of `memory`, in bytes."""
        return self.weight_bytes * item.num_params + round(ACTIVATION_FACTOR * self.batch_size * item.activation_bytes)

    def totals(self) -> dict[str, int]:
        """The numbers by name, as JSON takes them: num_params, macs, flops, activations, memory."""
        names = ("num_params", "macs", "flops", "activations", "memory")
        return {name: getattr(self, name) for name in names}

"""Costs by hand, by the paper's ratios, and fast; equality with built models is tests/models/test_costs_match.py."""

import subprocess
import sys
import time

import msgspec
import pytest

from fvsearch.arch import Arch, Stage, named_arch
from fvsearch.costs import ACTIVATION_FACTOR, Cost, predict
from fvsearch.errors import ConfigError
from fvsearch.layout import parse_layout
from fvsearch.study import DType, Phase

TINY = Arch(
    patch_size=2,
    stages=(
        Stage(depth=2, width=4, mlp_dim=6, num_heads=2),
        Stage(depth=1, width=8, mlp_dim=5, num_heads=2, pool_stride=2),
    ),
)
"""On 6x6x3 images: 9 patches, so 10 tokens, then 5 patches, so 6 tokens."""


def tiny_cost(arch: Arch = TINY, batch_size: int = 1, dtype: DType = "float32", phase: Phase = "training") -> Cost:
    return predict(arch, image_shape=(6, 6, 3), num_classes=7, batch_size=batch_size, dtype=dtype, phase=phase)


def paper_cost(layout: str) -> Cost:
    return predict(parse_layout(layout), image_shape=(224, 224, 3), num_classes=1000, batch_size=128)


def test_vit_b16_has_its_known_size() -> None:
    cost = predict(named_arch("vit-b16"), image_shape=(224, 224, 3), num_classes=1000, batch_size=1)
    assert cost.num_params == 86_567_656
    assert cost.macs == 17_563_828_224
    assert cost.flops == 2 * cost.macs


def test_items_of_a_tiny_arch_are_those_counted_by_hand() -> None:
    found = [(item.part, item.stage, item.num_params, item.macs, item.activations, item.largest) for item in tiny_cost().items]
    block_map = 2 * 2 * 10 * 10  # heads, before and after the softmax
    assert found == [
        # 12 values a patch -> 4 channels, bias; class token; 10 positions
        ("embedding", None, 12 * 4 + 4 + 4 + 10 * 4, 9 * 12 * 4, 0, 0),
        # four 4x4 projections with bias, a norm; two n x n products
        ("attention", 0, 2 * (4 * 20 + 8), 2 * (4 * 10 * 16 + 2 * 100 * 4), 2 * (6 * 10 * 4 + block_map), 6 * 10 * 4 + block_map),
        ("mlp", 0, 2 * (4 * 6 + 6 + 6 * 4 + 4 + 8), 2 * 2 * 10 * 4 * 6, 2 * (2 * 10 * 4 + 2 * 10 * 6), 2 * 10 * 4 + 2 * 10 * 6),
        ("projection", 1, 4 * 8 + 8, 10 * 4 * 8, 0, 0),
        # 6 queries over 10 keys and values
        (
            "attention",
            1,
            4 * 72 + 16,
            2 * 6 * 64 + 2 * 10 * 64 + 2 * 6 * 10 * 8,
            3 * 6 * 8 + (6 + 20) * 8 + 2 * 2 * 6 * 10,
            3 * 6 * 8 + (6 + 20) * 8 + 2 * 2 * 6 * 10,
        ),
        ("mlp", 1, 8 * 5 + 5 + 5 * 8 + 8 + 16, 2 * 6 * 8 * 5, 2 * 6 * 8 + 2 * 6 * 5, 2 * 6 * 8 + 2 * 6 * 5),
        ("head", None, 16 + 8 * 7 + 7, 8 * 7, 0, 0),
    ]


def test_memory_of_training_is_weights_with_moments_and_every_activation_of_the_batch() -> None:
    cost = tiny_cost(batch_size=3)
    kept = sum(item.activations for item in cost.items)
    assert cost.memory == 16 * cost.num_params + round(ACTIVATION_FACTOR * kept * 4 * 3)


def test_mixed_precision_halves_activations_and_keeps_weights() -> None:
    full, mixed = tiny_cost(batch_size=1000), tiny_cost(batch_size=1000, dtype="mixed_bfloat16")
    weights = 16 * full.num_params
    assert mixed.memory - weights == pytest.approx((full.memory - weights) / 2)


def test_inference_keeps_weights_and_the_largest_attention_or_mlp() -> None:
    cost = tiny_cost(batch_size=3, phase="inference")
    attention = 6 * 10 * 4 + 2 * 2 * 10 * 10
    assert cost.activations == attention
    assert cost.memory == 4 * cost.num_params + round(ACTIVATION_FACTOR * attention * 4 * 3)
    wide = msgspec.structs.replace(TINY, stages=(msgspec.structs.replace(TINY.stages[0], mlp_dim=100), *TINY.stages[1:]))
    assert tiny_cost(wide, phase="inference").activations == 2 * 10 * 4 + 2 * 10 * 100


def test_the_naive_variant_projects_and_reads_pooled_tokens() -> None:
    naive = tiny_cost(msgspec.structs.replace(TINY, pool_query_only=False))
    assert naive.num_params == tiny_cost().num_params
    assert tiny_cost().macs - naive.macs == 2 * (10 - 6) * 64 + 2 * 6 * (10 - 6) * 8
    assert naive.activations < tiny_cost().activations


# The paper's table 2: GB and steps/s at its batch; the first row is the baseline.
@pytest.mark.parametrize(
    ("layout", "memory_gb", "steps_per_s"), [("B6(197)-6(99)", 9.18, 2.6), ("B4(197)-4(99)-4(50)", 7.38, 3.2), ("B6(197)-6(50)", 8.04, 3.1)]
)
def test_ratios_follow_the_paper(layout: str, memory_gb: float, steps_per_s: float) -> None:
    cost, baseline = paper_cost(layout), paper_cost("B12(197)")
    assert cost.memory / baseline.memory == pytest.approx(memory_gb / 12.38, rel=0.05)
    assert baseline.macs / cost.macs == pytest.approx(steps_per_s / 2.0, rel=0.06)


def test_totals_are_the_properties_by_name() -> None:
    cost = tiny_cost()
    assert msgspec.json.decode(msgspec.json.encode(cost.totals())) == {
        "num_params": cost.num_params,
        "macs": cost.macs,
        "flops": cost.flops,
        "activations": cost.activations,
        "memory": cost.memory,
    }


@pytest.mark.parametrize(
    ("argument", "value"), [("num_classes", 0), ("batch_size", 0), ("dtype", "float16"), ("phase", "train"), ("image_shape", (7, 6, 3))]
)
def test_arguments_out_of_range_are_refused_by_name(argument: str, value: object) -> None:
    arguments: dict[str, object] = {"image_shape": (6, 6, 3), "num_classes": 7, "batch_size": 1} | {argument: value}
    with pytest.raises(ConfigError, match=argument.replace("image_shape", "image_size")):
        predict(TINY, **arguments)  # type: ignore[arg-type]


def test_at_least_50000_archs_a_second() -> None:
    arch = parse_layout("B6(197, m4096)-6(99)-2(50, h384, m1536)")
    best = float("inf")
    for _ in range(10):
        start = time.process_time()  # not the clock: other processes' time does not count
        for _ in range(1000):
            predict(arch, image_shape=(224, 224, 3), num_classes=1000, batch_size=128).totals()
        best = min(best, time.process_time() - start)
    assert 1000 / best >= 50_000


def test_importing_costs_loads_nothing_heavy() -> None:
    code = "import sys, fvsearch.costs; print([n for n in ('keras', 'jax', 'tensorflow', 'torch', 'numpy', 'optuna') if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"

"""Predicted costs against built models: parameters to the unit, matrix products as a backend's own counter has them.

PyTorch's FlopCounterMode counts matrix products and convolutions and nothing else: twice our macs, to the unit. It runs on the device
"meta", where attention is made of products that it knows: the fused kernel for CPUs it does not, and counts as nothing.

XLA's cost analysis counts every elementwise operation and reduction too. In archs of the quickstart (8x8 pixels) biases, norms, softmaxes,
gelus and residuals are 5 to 9% on top of the products, at 224 pixels and ViT-B's width 0.3%; what the traced program's operations of that
kind come to is taken off, and then it is twice our macs.
"""

import math
import random
from collections.abc import Iterator

import keras
import msgspec
import numpy as np
import pytest
from metered import SHAPE as METERED_SHAPE
from metered import arch as metered_arch
from metered import compiled

from fvsearch.archs.arch import Arch, Stage
from fvsearch.costs.formula import predict
from fvsearch.library import load_space
from fvsearch.meters.memory import step_memory
from fvsearch.models import build_model
from fvsearch.study.recipe import Recipe

ARCH = Arch(
    patch_size=4,
    stages=(
        Stage(depth=2, width=64, mlp_dim=96, num_heads=2),
        Stage(depth=2, width=96, mlp_dim=128, num_heads=3, pool_stride=2),
        Stage(depth=1, width=96, mlp_dim=64, num_heads=3, pool_stride=2, pooling="max"),
    ),
)
SHAPE = (36, 40, 3)

# One backend counts many archs, for Keras and not the backend makes the shapes; the others make sure of that.
SAMPLES = 200 if keras.backend.backend() == "jax" else 8

SPACES = {"quickstart": (8, 8, 1), "reinvestment": (224, 224, 3)}

COUNTED = {"quickstart": 44, "reinvestment": 6}
"""Archs whose macs a second counter counts: 50 of the shipped spaces."""


def shapes_only(arch, **arguments):
    """The model with the shapes of its weights and none of their values."""
    with keras.StatelessScope(initialize_variables=False):
        model = build_model(arch, **arguments)
    keras.utils.clear_session(free_memory=False)  # Keras lists the weights it has yet to draw
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_parameters_of_sampled_archs_are_exact(name):
    space, rng = load_space(name), random.Random(name)
    for _ in range(SAMPLES):
        arch, num_classes = space.sample(rng), rng.choice([1, 10, 1000])
        cost = predict(arch, image_shape=SPACES[name], num_classes=num_classes, batch_size=1)
        assert cost.num_params == shapes_only(arch, image_shape=SPACES[name], num_classes=num_classes).count_params(), arch


def test_an_optimizer_s_moments_are_measured_as_predicted():
    """Between AdamW and SGD, one number of each parameter, on every backend: the rest of a step's memory is the same."""
    found = {}
    for optimizer in ("adamw", "sgd"):
        model = compiled(metered_arch((1, 1), width=64), Recipe(epochs=2, batch_size=16, optimizer=optimizer))
        found[optimizer] = step_memory(model, METERED_SHAPE, 64, "training").bytes
    predicted = {
        optimizer: predict(metered_arch((1, 1), width=64), image_shape=METERED_SHAPE, num_classes=10, batch_size=64, optimizer=optimizer)
        for optimizer in found
    }
    moment = predicted["adamw"].weight_memory - predicted["sgd"].weight_memory
    assert moment == 4 * model.count_params()
    assert found["adamw"] - found["sgd"] == pytest.approx(moment, rel=0.01)


def test_what_else_an_optimizer_keeps_is_measured_as_predicted():
    """An average of the weights, and accumulated gradients: each one number of each parameter. XLA's plan makes room for more, to choose
    between the state before and after a step that may not count."""
    found, counted = {}, {}
    for settings in ({}, {"ema": 0.9}, {"accumulate": 2}):
        model = compiled(metered_arch((1, 1), width=64), Recipe(epochs=2, batch_size=16, **settings))
        name = "".join(settings)
        found[name] = step_memory(model, METERED_SHAPE, 64, "training").bytes
        counted[name] = predict(
            metered_arch((1, 1), width=64),
            image_shape=METERED_SHAPE,
            num_classes=10,
            batch_size=64,
            ema="ema" in settings,
            accumulates="accumulate" in settings,
        ).weight_memory
    slot = 4 * model.count_params()
    assert counted["ema"] - counted[""] == counted["accumulate"] - counted[""] == slot
    assert found["ema"] - found[""] == pytest.approx(slot, rel=0.01)
    room = 2 * slot if keras.backend.backend() == "jax" else 1.01 * slot
    assert 0.99 * slot < found["accumulate"] - found[""] < room


def test_a_real_build_has_the_shapes_of_an_empty_one():
    real, empty = build_model(ARCH, image_shape=SHAPE, num_classes=7), shapes_only(ARCH, image_shape=SHAPE, num_classes=7)
    assert [weight.shape for weight in real.weights] == [weight.shape for weight in empty.weights]
    assert sum(value.size for value in real.get_weights()) == predict(ARCH, image_shape=SHAPE, num_classes=7, batch_size=1).num_params


def test_each_item_is_the_parameters_of_its_layers():
    model = build_model(ARCH, image_shape=SHAPE, num_classes=7)
    names = {"patch": ("patches", "class_token", "positions"), "head": ("norm", "head")}
    for item in predict(ARCH, image_shape=SHAPE, num_classes=7, batch_size=1).items:
        if item.stage is None:
            layers = [model.get_layer(name) for name in names[item.part]]
        else:
            layers = [layer for layer in model.layers if layer.name.startswith(f"stage{item.stage}_") and layer.name.endswith(item.part)]
        assert layers
        assert sum(layer.count_params() for layer in layers) == item.num_params, item


def counted_archs() -> Iterator[tuple[Arch, tuple[int, int, int], int]]:
    """Archs of the shipped spaces, the shape of their images, and macs as predicted."""
    for name, count in COUNTED.items():
        space, rng = load_space(name), random.Random(name)
        for _ in range(count):
            arch = space.sample(rng)
            yield arch, SPACES[name], predict(arch, image_shape=SPACES[name], num_classes=10, batch_size=1).macs


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch's counter")
def test_macs_are_those_of_torch_s_flop_counter():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    for arch, image_shape, macs in counted_archs():
        model = shapes_only(arch, image_shape=image_shape, num_classes=10)
        with keras.device("meta"), FlopCounterMode(display=False) as counter:
            model(torch.empty((1, *image_shape), device="meta"), training=False)
        assert counter.get_total_flops() == 2 * macs, arch


def equations(jaxpr):
    """Every operation of a jaxpr, those of called functions included."""
    for equation in jaxpr.eqns:
        called = [inner.jaxpr for inner in equation.params.values() if hasattr(inner, "jaxpr")]
        if not called:
            yield equation
        for inner in called:
            yield from equations(inner)


ELEMENTWISE = {"add", "sub", "mul", "div", "max", "neg", "square", "select_n"}
REDUCTIONS = {"reduce_sum", "reduce_max"}


def elementwise_flops(jaxpr):
    """One for each number that an elementwise operation makes, and for each that a reduction takes in beyond those it leaves."""
    total = 0
    for equation in equations(jaxpr):
        made = math.prod(equation.outvars[0].aval.shape)
        if equation.primitive.name in ELEMENTWISE:
            total += made
        elif equation.primitive.name in REDUCTIONS:
            total += math.prod(equation.invars[0].aval.shape) - made
    return total


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="XLA's counter, of the program that JAX lowers")
def test_macs_are_those_of_xla_s_cost_analysis_less_the_elementwise():
    import jax

    for arch, image_shape, macs in counted_archs():
        model = shapes_only(arch, image_shape=image_shape, num_classes=10)
        weights = [jax.ShapeDtypeStruct(weight.shape, "float32") for weight in model.trainable_variables]
        images = jax.ShapeDtypeStruct((1, *image_shape), "float32")
        traced = jax.jit(lambda weights, images, model=model: model.stateless_call(weights, [], images)[0]).trace(weights, images)
        flops, elementwise = traced.lower().cost_analysis()["flops"], elementwise_flops(traced.jaxpr.jaxpr)
        assert flops - elementwise == pytest.approx(2 * macs, rel=1e-4), arch
        most, least = (0.1, 0.03) if image_shape == SPACES["quickstart"] else (0.005, 0.001)
        assert least < elementwise / flops < most, arch


def matrix_product_macs(jaxpr):
    """Multiply-adds of every dot and convolution of a jaxpr."""
    total = 0
    for equation in equations(jaxpr):
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
            total += math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // features
    return total


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="reads the program that JAX traces")
@pytest.mark.parametrize("pool_query_only", [True, False])
def test_macs_are_the_matrix_products_of_the_traced_program(pool_query_only):
    import jax

    arch = msgspec.structs.replace(ARCH, pool_query_only=pool_query_only)
    model = build_model(arch, image_shape=SHAPE, num_classes=7)
    weights = [weight.value for weight in model.trainable_variables]
    traced = jax.make_jaxpr(lambda weights, images: model.stateless_call(weights, [], images)[0])(weights, np.zeros((1, *SHAPE), "float32"))
    assert matrix_product_macs(traced.jaxpr) == predict(arch, image_shape=SHAPE, num_classes=7, batch_size=1).macs

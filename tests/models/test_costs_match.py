"""Predicted costs against built models: parameters to the unit, matrix products as a backend counts them."""

import math
import random

import keras
import msgspec
import numpy as np
import pytest

from fvsearch.arch import Arch, Stage
from fvsearch.costs import predict
from fvsearch.library import load_space
from fvsearch.models import build_model

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


def matrix_product_macs(jaxpr):
    """Multiply-adds of every dot and convolution of a jaxpr, those of called functions included."""
    total = 0
    for equation in jaxpr.eqns:
        for inner in equation.params.values():
            total += matrix_product_macs(inner.jaxpr) if hasattr(inner, "jaxpr") else 0
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

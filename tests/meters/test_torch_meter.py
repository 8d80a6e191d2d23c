import keras
import pytest
from metered import RECIPE, SHAPE, arch, compiled

from fvsearch.meters.memory import prepare, step_memory, synthetic_batch
from fvsearch.study.recipe import Recipe

pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="of the torch meter")

RECIPES = {
    "plain": RECIPE,
    "drops": Recipe(epochs=2, batch_size=16, dropout=0.1, stochastic_depth=0.1),
    "clipped": Recipe(epochs=2, batch_size=16, clip_norm=1.0),
    "bfloat16": Recipe(epochs=2, batch_size=16, dtype="mixed_bfloat16"),
    "in parts": Recipe(epochs=2, batch_size=16, accumulate=2, clip_norm=1.0, ema=0.9),
}


def peak_of_a_real_step(model: keras.Model, batch_size: int) -> int:
    """The same count over a step on real tensors: the second one, which finds the gradients of the first."""
    import torch

    from fvsearch.meters._torch import LiveStorages

    batch = synthetic_batch(SHAPE, 10, batch_size)
    prepare(model, batch)
    data = tuple(torch.tensor(array) for array in batch)
    model.train()
    model.train_step(data)
    live = LiveStorages()
    values = [variable.value for variable in [*model.variables, *model.metrics_variables, *model.optimizer.variables]]
    for tensor in (*data, *values, *(value.grad for value in values if value.grad is not None)):
        live.watch(tensor)
    with live:
        model.train_step(data)
    return live.peak


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
@pytest.mark.parametrize("batch_size", [1, 32])
def test_fake_tensors_count_as_real_ones_to_the_byte(recipe: Recipe, batch_size: int) -> None:
    model = compiled(arch((2, 1), (1, 2)), recipe)
    assert step_memory(model, SHAPE, batch_size, "training").bytes == peak_of_a_real_step(model, batch_size)


def test_the_live_set_of_a_known_model() -> None:
    """Dense layers 4 -> 100 -> 50 -> 2 on a batch of 8, in float32.

    The first layer holds its product and, beside it, that with the bias added: 2 * 100 units. The second holds its input, its product
    and that with the bias added: 100 + 2 * 50. The third needs less.
    """
    from fvsearch.meters._torch import step_memory

    model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(units) for units in (100, 50, 2))])
    model.compile(loss="mse", optimizer="sgd")
    weights = 4 * 100 + 100 + 100 * 50 + 50 + 50 * 2 + 2
    images, labels = 8 * 4, 8
    measured = step_memory(model, synthetic_batch((4,), 2, 8), "inference")
    assert measured.bytes == 4 * (weights + images + labels + 8 * 200)


def test_views_share_their_storage_and_dead_storages_do_not_count() -> None:
    import torch

    from fvsearch.meters._torch import LiveStorages

    with LiveStorages() as live:
        a = torch.zeros(1000)  # 4000 bytes
        assert live.alive == 4000
        view = a.reshape(10, 100)[:5]
        assert live.alive == 4000
        b = view * 2  # 2000 bytes
        del a
        assert live.alive == 6000
        del view
        assert live.alive == 2000
        b.add_(1)
        assert live.alive == 2000
        del b
    assert live.alive == 0
    assert live.peak == 6000

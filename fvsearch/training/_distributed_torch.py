"""PyTorch: one rank's device, whose steps average their gradients with those of the other ranks.

`keras.distribution` has no PyTorch, and Keras's `fit` in a process group trains each rank for itself. So the loop of an epoch is ours, of
the model's own loss, metrics and optimizer, and the averaging is DistributedDataParallel's, which sends a gradient while those
before it are still computed.
"""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import keras
import torch
from keras import ops
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from fvsearch.training._shares import Batch, batches_of, evaluate_batches, share_of
from fvsearch.training.device import Devices

PATIENCE = timedelta(days=7)
"""For another rank's part of a sum: those that die are noticed by the process that started them."""


class TorchDevices(Devices):
    """A rank's own device, for one who speaks for all.

    Args:
        rank, count: Which it is, and of how many.
        rendezvous: A file, not there yet, by which they find each other.
    """

    def __init__(self, rank: int, count: int, rendezvous: str) -> None:
        self.rank, self.count = rank, count
        accelerated = torch.cuda.is_available()
        if accelerated:
            torch.cuda.set_device(rank)
        distributed.init_process_group(
            "nccl" if accelerated else "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=count, timeout=PATIENCE
        )
        self._parallel: DistributedDataParallel | None = None

    def begin(self, model: keras.Model, epochs: range) -> range:
        """Rank 0's state and epochs, on every rank; but each draws masks of its own, for it has images of its own."""
        told = [epochs]
        distributed.broadcast_object_list(told)
        with torch.no_grad():
            for variable in [*model.variables, *model.optimizer.variables]:
                distributed.broadcast(variable.value, 0)
                if self.rank and "seed_generator" in variable.path:
                    variable.value[0] += self.rank
        self._parallel = DistributedDataParallel(model, broadcast_buffers=False, init_sync=False)
        return told[0]

    def fit(
        self,
        model: keras.Model,
        x: Any,
        y: Any = None,
        *,
        callbacks: list[keras.callbacks.Callback],
        initial_epoch: int,
        batch_size: int | None = None,
        validation_data: Any = None,
        validation_batch_size: int | None = None,
        **settings: Any,
    ) -> keras.callbacks.History:
        """What Keras's `fit` does in an epoch, each batch divided among the ranks, the logs those of whole batches on all of them."""
        heard = keras.callbacks.CallbackList(callbacks, add_history=True, model=model, epochs=initial_epoch + 1)
        model.stop_training = False
        heard.on_train_begin()
        heard.on_epoch_begin(initial_epoch)
        model.reset_metrics()
        for step, batch in enumerate(batches_of(x if y is None else (x, y), batch_size)):
            heard.on_train_batch_begin(step)
            heard.on_train_batch_end(step, self._step(model, batch))
            if model.stop_training:
                break
        logs = self._means(model)
        if validation_data is not None:
            model.reset_metrics()
            shares = self._shares(batches_of(validation_data, validation_batch_size))
            # Of a handful of images there is none for the last ranks, and Keras evaluates nothing on nothing.
            for first in itertools.islice(shares, 1):
                evaluate_batches(model, itertools.chain([first], shares), heard)
            logs |= {f"val_{name}": value for name, value in self._means(model).items()}
        heard.on_epoch_end(initial_epoch, logs)
        model.optimizer.finalize_variable_values(model.trainable_variables)
        heard.on_train_end(logs)
        return model.history

    def _step(self, model: keras.Model, batch: Batch) -> dict[str, torch.Tensor]:
        """A step on this rank's share of a batch; the running mean of the loss over whole batches."""
        images, labels = (ops.convert_to_tensor(part) for part in share_of(batch, self.rank, self.count))
        assert self._parallel is not None
        logits = self._parallel(images, training=True)
        model.zero_grad()
        loss = model.compute_loss(images, labels, logits, training=True)
        model.optimizer.scale_loss(loss).backward()
        variables = model.trainable_variables
        with torch.no_grad():
            model.optimizer.apply([variable.value.grad for variable in variables], variables)
            # Of the whole batch, so that all ranks see the same and stop at the same step.
            mean = loss.detach().clone()
            distributed.all_reduce(mean)
            _loss_of(model).update_state(mean / self.count, sample_weight=len(batch[1]))
            model.compute_metrics(images, labels, logits)
        return {"loss": _loss_of(model).result()}

    def _shares(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """This rank's share of each batch that has one for it."""
        for batch in batches:
            if len(batch[1]) > self.rank:
                yield share_of(batch, self.rank, self.count)

    def _means(self, model: keras.Model) -> dict[str, float]:
        """The metrics over the images of all ranks; Keras's are means, whose variables are sums."""
        with torch.no_grad():
            for variable in model.metrics_variables:
                distributed.all_reduce(variable.value)
        return {name: float(value) for name, value in model.get_metrics_result().items()}


def _loss_of(model: keras.Model) -> keras.metrics.Metric:
    """The metric in which Keras keeps the loss."""
    return next(metric for metric in model.metrics if metric.name == "loss")

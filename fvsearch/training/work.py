"""What run_segment does once keras may be imported: build, measure, resume, train."""

from pathlib import Path

import keras
import msgspec

from fvsearch.data import SearchSplits, load_search_splits, problem_notes
from fvsearch.errors import ConfigError
from fvsearch.meters.lock import SharedDevice
from fvsearch.meters.memory import step_memory
from fvsearch.records import from_json
from fvsearch.training.checkpoint import read_checkpoint, save_checkpoint
from fvsearch.training.device import Devices, device_name, set_up_device, versions
from fvsearch.training.energy import device_energy
from fvsearch.training.fit import Stopwatch, compile_model, recipe_model, steps_per_epoch, train_epochs
from fvsearch.training.metrics import InputPace, MetricsFile
from fvsearch.training.ownership import claim_folder, identify
from fvsearch.training.segment import Clock, Ended, OnEpoch, Segment, SegmentResult, Status
from fvsearch.training.start import transfer_notes, transfer_start
from fvsearch.training.warm import WarmModel, keep_warm, take_warm
from fvsearch.units import show_bytes

LEAST_WAIT = 0.1
"""Seconds for which a measurement must have had the device to be told of."""


class Work:
    """One segment on its way, in a folder that this process owns.

    Args:
        segment: What to do.
        clock: Takes the time.
        devices: To run on; one unless said.

    Raises:
        ConfigError: The folder holds another training.
    """

    def __init__(self, segment: Segment, clock: Clock, devices: Devices | None = None) -> None:
        self.segment, self.clock, self.devices = segment, clock, devices or Devices()
        self.folder = Path(segment.folder)
        self.metrics = MetricsFile(self.folder / "metrics.jsonl")
        self.checkpoint_path = self.folder / "checkpoint.npz"
        self.result_path = self.folder / "result.json"
        self.measured: dict[str, float] = {}
        self.memory_source = ""
        self.input_pace: InputPace | None = None
        self.energy = device_energy(self.devices.count, self.devices.is_cpu)
        self.identity = identify(segment, keras.backend.backend())
        self.notes = claim_folder(self.folder, self.identity)

    def ended(self) -> SegmentResult | None:
        """The result that stands on disk, if this very segment has ended and what it left is whole."""
        try:
            ended: Ended = from_json(self.result_path, Ended)
            checkpoint = read_checkpoint(self.checkpoint_path)
        except (ConfigError, ValueError):
            return None
        # The start may lie elsewhere by now: its hash is the identity's.
        if msgspec.structs.replace(ended.segment, folder=self.segment.folder, start=self.segment.start) != self.segment:
            return None
        done = checkpoint.epochs_done if checkpoint else 0
        whole = done == self.segment.to_epoch == len(self.metrics.read())
        return ended.result if whole or ended.result.status != "completed" else None

    def run(self, on_epoch: OnEpoch | None) -> SegmentResult:
        """Train to the segment's end.

        Raises:
            TrainingError: The loss is no longer finite.
        """
        segment = self.segment
        warm = take_warm(self.folder, self.identity, segment.from_epoch)
        if warm is not None and len(self.metrics.read()) == segment.from_epoch:
            model, splits, done = warm.model, warm.splits, segment.from_epoch
        else:
            with self.clock.time("build"):
                splits = load_search_splits(segment.data)
                model = fresh_model(segment, len(splits.train.labels), self.devices)
            if segment.from_epoch == 0 and self.devices.count == 1:
                # On JAX the meter compiles the very step that training then uses: time that compiling takes, not measuring.
                with self.clock.time("compile" if keras.backend.backend() == "jax" else "measure"):
                    self._measure(model)
                memory = self.measured["memory"]
                if segment.max_memory is not None and memory > segment.max_memory:
                    allowed = show_bytes(segment.max_memory)
                    return self.result("over_memory", f"memory is {show_bytes(memory)} as measured, above the {allowed} allowed")
            done = self._resume(model)
            self._start(model, done)
        self._train(model, splits, range(done, segment.to_epoch), on_epoch)
        self.notes += problem_notes(splits)
        if segment.to_epoch < segment.recipe.epochs:
            keep_warm(WarmModel(self.folder, self.identity, segment.to_epoch, model, splits))
        return self.result("completed")

    def result(self, status: Status, reason: str = "") -> SegmentResult:
        """How the segment ended, with what is known by now."""
        return SegmentResult(
            status=status,
            reason=reason,
            epochs=self.metrics.read(),
            notes=tuple(self.notes),
            measured=self.measured,
            memory_source=self.memory_source,
            input_pace=self.input_pace,
            seconds=self.clock.seconds,
            joules=self.energy.joules(),
            backend=keras.backend.backend(),
            device=self.devices.name,
            versions=versions(),
        )

    def _measure(self, model: keras.Model) -> None:
        segment = self.segment
        batch_size = segment.cost_batch_size or segment.recipe.step_batch_size
        memory = step_memory(model, segment.data.image_shape, batch_size, segment.phase)
        self.measured, self.memory_source = {"memory": float(memory.bytes)}, memory.source

    def _resume(self, model: keras.Model) -> int:
        """Put the checkpoint into the model, if it is good; how many epochs it has done."""
        epochs = self.metrics.read()
        done = 0
        try:
            checkpoint = read_checkpoint(self.checkpoint_path)
            if checkpoint is None and self.segment.from_epoch:
                raise ValueError("there is none")
            if checkpoint is not None:
                if not checkpoint.epochs_done <= min(len(epochs), self.segment.to_epoch):
                    raise ValueError(f"it is of epoch {checkpoint.epochs_done}, and metrics are there of {len(epochs)}")
                checkpoint.restore(model)
                done = checkpoint.epochs_done
        except ValueError as error:
            self.notes.append(f"the checkpoint could not be used ({error}): trained from the start")
            self.checkpoint_path.unlink(missing_ok=True)
        self.metrics.keep(epochs[:done])
        return done

    def _start(self, model: keras.Model, done: int) -> None:
        """The weights of the start, before the first epoch; after it the checkpoint has them."""
        if self.segment.start is not None:
            self.notes += transfer_notes(self.folder) if done else transfer_start(self.segment.start, model, self.folder)

    def _train(self, model: keras.Model, splits: SearchSplits, epochs: range, on_epoch: OnEpoch | None) -> None:
        """Train these epochs. Metrics are written before the checkpoint, so that a checkpoint never lacks any."""
        watch, shared = Stopwatch(), SharedDevice(device_name())
        try:
            with self.clock.time("train"), shared:
                epochs = self.devices.begin(model, epochs)
                for metrics in train_epochs(model, self.segment.recipe, splits, self.segment.seed, epochs, watch, self.devices):
                    self.metrics.append(metrics)
                    save_checkpoint(self.checkpoint_path, model, metrics.epoch + 1)
                    if on_epoch is not None:
                        on_epoch(msgspec.to_builtins(metrics))
                    shared.give_way()
            self.input_pace = watch.input_pace
            if watch.input_pace is not None and watch.input_pace.bottleneck is not None:
                self.notes.append(watch.input_pace.bottleneck)
        finally:
            self.clock.add("compile", watch.compile_seconds)
            self.clock.add("train", -watch.compile_seconds)
            if shared.waited > LEAST_WAIT:
                self.clock.add("train", -shared.waited)
                self.clock.add("wait", shared.waited)


def fresh_model(segment: Segment, num_train: int, devices: Devices) -> keras.Model:
    """The segment's model before its first epoch, compiled; what Keras kept of earlier models is let go, the dtype policy is not.

    Args:
        segment: Says arch, recipe and seed.
        num_train: Images in the training split.
        devices: Where its variables are to be.
    """

    def make() -> keras.Model:
        model = bare_model(segment)
        compile_model(model, segment.recipe, steps_per_epoch(segment.recipe, num_train))
        return model

    policy = keras.config.dtype_policy()
    keras.utils.clear_session()
    keras.config.set_dtype_policy(policy)
    set_up_device()
    return devices.build(make)


def bare_model(segment: Segment) -> keras.Model:
    """The segment's model, its weights as the seed gives them, not compiled."""
    return recipe_model(segment.arch, segment.data, segment.recipe, segment.seed)

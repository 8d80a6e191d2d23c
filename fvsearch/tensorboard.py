"""TensorBoard's view of a study: event files written from the metrics that trials leave, by the search's process alone.

    tensorboard/trial0007/train/events.out.tfevents...         loss, top1, top5 after each epoch
    tensorboard/trial0007/validation/events.out.tfevents...    the same names, so one chart holds both; the arch as text; params as hparams

A file is a function of its trial: header, then a record an epoch, with the times at which they ended. So what a kill left is the
beginning of what belongs there, the rest is added, and nothing is written twice.
"""

import datetime
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fvsearch.errors import MissingBackendError
from fvsearch.files import write_atomically
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.study import LEARNED, Study
from fvsearch.training.segment import derive_seed
from fvsearch.underway import written
from fvsearch.watching import Progress

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

FOLDER = "tensorboard"

Epochs = Sequence[dict[str, float]]


def require_tensorboard() -> None:
    """The law that the package tensorboard is installed.

    Raises:
        MissingBackendError: It is not.
    """
    if importlib.util.find_spec("tensorboard") is None:
        way_out = '`pip install "fvsearch[tensorboard]"` installs it'
        raise MissingBackendError(f"TensorBoard logs need the package tensorboard, which is not installed; {way_out}")


class EventWriter:
    """A watcher that writes each epoch of each trial for TensorBoard as it ends, and at first what trials of earlier starts left.

    Args:
        folder: Of the study.

    Raises:
        MissingBackendError: The package tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        require_tensorboard()
        self._folder = folder
        self._study: Study | None = None
        self._written: dict[Path, int] = {}

    def __call__(self, progress: Progress) -> None:
        """Write what is new."""
        records = [*progress.running, *([progress.ended] if progress.ended else [])]
        if self._study is None:
            # The search has made the ledger by now, or made sure that it is the right one.
            ledger = Ledger.open(self._folder)
            self._study = ledger.study
            records = [*ledger.trials(), *records]
            ledger.close()
        for record in records:
            self._write(self._study, record)

    def _write(self, study: Study, record: TrialRecord) -> None:
        base = self._folder / FOLDER / f"trial{record.number:04d}"
        for repeat, epochs in enumerate(_trained(study, self._folder, record)):
            folder = base / f"repeat{repeat}" if study.repeats > 1 else base
            if epochs and self._written.get(folder) != len(epochs):
                write_events(folder / "validation", study, record, repeat, epochs, prefix="")
                write_events(folder / "train", study, record, repeat, epochs, prefix="train_")
                self._written[folder] = len(epochs)


def _trained(study: Study, folder: Path, record: TrialRecord) -> list[Epochs]:
    """The epochs of each repeat by now: from their files while they are trained, where those are ahead of the record."""
    known: list[Epochs] = [repeat.epochs for repeat in record.repeats]
    if record.state != "running":
        return known
    ahead: list[Epochs] = [tuple(msgspec.to_builtins(epoch) for epoch in epochs) for epochs in written(study, folder, record.number)]
    return [*ahead, *known[len(ahead) :]]


def write_events(folder: Path, study: Study, record: TrialRecord, repeat: int, epochs: Epochs, *, prefix: str) -> None:
    """Make a folder's event file hold one repeat's epochs.

    Args:
        folder: TensorBoard's run.
        study: Whose trial.
        record: Of the trial.
        repeat: Which training of it, from 0.
        epochs: The metrics of each, as in Repeat.
        prefix: Of the metrics' names: of the training split's, "train_"; the validation split's have none, and go with text and hparams.
    """
    begun = datetime.datetime.fromisoformat(record.started).timestamp() if record.started else 0.0
    events = [_event(begun, file_version="brain.Event:2")]
    if not prefix:
        events.append(_event(begun, step=0, summary=_about(study, record, repeat, begun)))
    time = begun
    for epoch in epochs:
        time += epoch.get("seconds", 0.0)
        values = {name: epoch[prefix + name] for name in LEARNED if prefix + name in epoch}
        events.append(_event(time, step=int(epoch["epoch"]) + 1, summary=_scalars(values)))
    content = b"".join(map(_record, events))
    folder.mkdir(parents=True, exist_ok=True)
    # TensorBoard reads every file of a run's folder that has "tfevents" in its name.
    path = folder / f"events.out.tfevents.{int(begun):010d}.fvsearch"
    before = path.read_bytes() if path.exists() else b""
    if content.startswith(before):
        with path.open("ab") as file:
            file.write(content[len(before) :])
    else:
        # Trained anew from the start, by a machine that rounds otherwise.
        write_atomically(path, content)


def _record(event: "Event") -> bytes:
    """An event as TensorFlow's record files frame it: length, its checksum, the event, its checksum."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    frame = io.BytesIO()
    RecordWriter(frame).write(event.SerializeToString(deterministic=True))
    return frame.getvalue()


def _event(wall_time: float, **others: Any) -> "Event":
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=wall_time, **others)


def _scalars(values: dict[str, float]) -> "Summary":
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])


def _about(study: Study, record: TrialRecord, repeat: int, begun: float) -> "Summary":
    """The arch in words, and its params as hparams; trainings of one trial are one group."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.hparams import metadata as hparams
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo
    from tensorboard.plugins.text import metadata as text

    lines = [
        f"trial {record.number} of {study.name}",
        f"layout: `{record.layout}`",
        f"seed: {derive_seed(study.seed, record.arch_hash, repeat)}",
    ]
    lines += [f"predicted {name}: {cost:,.0f}" for name, cost in record.predicted.items()]
    layout = Summary.Value(
        tag="arch",
        metadata=text.create_summary_metadata("arch", ""),
        tensor=TensorProto(dtype=DT_STRING, string_val=["\n\n".join(lines).encode()]),
    )
    start = SessionStartInfo(group_name=f"trial {record.number}", start_time_secs=begun)
    for path, value in sorted({"layout": record.layout, **record.params}.items()):
        if isinstance(value, str):
            start.hparams[path].string_value = value
        else:
            start.hparams[path].number_value = value
    content = HParamsPluginData(version=hparams.PLUGIN_DATA_VERSION, session_start_info=start).SerializeToString(deterministic=True)
    plugin = SummaryMetadata.PluginData(plugin_name=hparams.PLUGIN_NAME, content=content)
    session = Summary.Value(tag=hparams.SESSION_START_INFO_TAG, metadata=SummaryMetadata(plugin_data=plugin), tensor=hparams.NULL_TENSOR)
    return Summary(value=[layout, session])

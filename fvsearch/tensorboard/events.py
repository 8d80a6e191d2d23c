"""TensorBoard's event files, written from the metrics of a training's epochs.

    FOLDER/train/events.out.tfevents...         loss, top1, top5 after each epoch
    FOLDER/validation/events.out.tfevents...    the same names, so one chart holds both; what is trained as text and as hparams

A file is a function of the training: header, then a record an epoch, with the times at which they ended. So what a kill left is the
beginning of what belongs there, the rest is added, and nothing is written twice.
"""

import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvsearch.errors import MissingBackendError
from fvsearch.files import write_atomically
from fvsearch.study import LEARNED

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

FOLDER = "tensorboard"

Epochs = Sequence[dict[str, float]]
"""The metrics of each, by the names of EpochMetrics."""


def require_tensorboard() -> None:
    """The law that the package tensorboard is installed.

    Raises:
        MissingBackendError: It is not.
    """
    if importlib.util.find_spec("tensorboard") is None:
        way_out = '`pip install "fvsearch[tensorboard]"` installs it'
        raise MissingBackendError(f"TensorBoard logs need the package tensorboard, which is not installed; {way_out}")


def write_events(folder: Path, epochs: Epochs, told: "Summary", begun: float, others: Sequence[str] = ()) -> None:
    """Make the event files of a training hold its epochs.

    Args:
        folder: With a run of TensorBoard's for each split.
        epochs: From the first on.
        told: What is trained, by `about`.
        begun: When the training was, in seconds since 1970.
        others: Metrics that are of no split; they go with the validation split's.
    """
    _write(folder / "validation", epochs, (*LEARNED, *others), "", [_event(begun, step=0, summary=told)], begun)
    _write(folder / "train", epochs, LEARNED, "train_", [], begun)


def about(lines: Sequence[str], params: Mapping[str, Any], *, group: str, begun: float) -> "Summary":
    """What is trained, as text and as hparams.

    Args:
        lines: Of the text, in Markdown.
        params: The hparams by name.
        group: Trainings that TensorBoard is to take for repeats of one another have the same.
        begun: When the training was.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.hparams import metadata as hparams
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo
    from tensorboard.plugins.text import metadata as text

    layout = Summary.Value(
        tag="arch",
        metadata=text.create_summary_metadata("arch", ""),
        tensor=TensorProto(dtype=DT_STRING, string_val=["\n\n".join(lines).encode()]),
    )
    start = SessionStartInfo(group_name=group, start_time_secs=begun)
    for path, value in sorted(params.items()):
        if isinstance(value, str):
            start.hparams[path].string_value = value
        else:
            start.hparams[path].number_value = value
    content = HParamsPluginData(version=hparams.PLUGIN_DATA_VERSION, session_start_info=start).SerializeToString(deterministic=True)
    plugin = SummaryMetadata.PluginData(plugin_name=hparams.PLUGIN_NAME, content=content)
    session = Summary.Value(tag=hparams.SESSION_START_INFO_TAG, metadata=SummaryMetadata(plugin_data=plugin), tensor=hparams.NULL_TENSOR)
    return Summary(value=[layout, session])


def _write(folder: Path, epochs: Epochs, names: Sequence[str], prefix: str, first: "Sequence[Event]", begun: float) -> None:
    """Make a folder's event file hold the named metrics of the epochs, after the header and the first events."""
    events = [_event(begun, file_version="brain.Event:2"), *first]
    time = begun
    for epoch in epochs:
        time += epoch.get("seconds", 0.0)
        values = {name: epoch[prefix + name] for name in names if prefix + name in epoch}
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

"""Peak memory of a dataflow graph: every tensor lives from the operation that makes it to the last that reads it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

SHARING = {"ExpandDims", "Identity", "IdentityN", "PreventGradient", "Reshape", "Snapshot", "Squeeze", "StopGradient"}
"""Operations whose outputs are their inputs' memory."""

RESIDENT = {"Const", "Placeholder", "ReadVariableOp", "VarHandleOp"}
"""Operations whose outputs are there before the step, or variables."""


class Operation(Protocol):
    """As TensorFlow's graphs have them."""

    type: str
    inputs: Sequence[Any]
    outputs: Sequence[Any]


def peak_bytes(operations: Iterable[Operation], kept: Iterable[Any] = (), inside: Callable[[Operation], int] = lambda operation: 0) -> int:
    """The most bytes alive at once, run in the order given; what is resident before the step is left out.

    No buffer is reused for an output in place, and tensors of unknown shape count nothing.

    Args:
        operations: In an order in which they can run, as a graph lists them.
        kept: Tensors that live to the end.
        inside: Bytes that an operation needs while it runs, its inputs and outputs aside.
    """
    operations = list(operations)
    reads = Counter(tensor.name for operation in operations for tensor in operation.inputs)
    reads.update(tensor.name for tensor in kept)
    buffers: dict[str, str] = {}  # tensor -> the tensor whose memory it shares
    readers: dict[str, int] = {}  # buffer -> reads to come
    sizes: dict[str, int] = {}
    alive = peak = 0
    for operation in operations:
        read = [buffers[tensor.name] for tensor in operation.inputs]
        for index, tensor in enumerate(operation.outputs):
            shares = operation.type in SHARING
            buffer = read[index] if shares and operation.type == "IdentityN" else read[0] if shares else tensor.name
            buffers[tensor.name] = buffer
            if not shares:
                sizes[buffer] = 0 if operation.type in RESIDENT else _size(tensor)
                readers[buffer] = 0
                alive += sizes[buffer]
            readers[buffer] += reads[tensor.name]
        peak = max(peak, alive + inside(operation))
        for buffer in read:
            readers[buffer] -= 1
        for buffer in {*read, *(buffers[tensor.name] for tensor in operation.outputs)}:
            if readers[buffer] == 0:
                alive -= sizes.pop(buffer, 0)
    return peak


def _size(tensor: Any) -> int:
    """Bytes; 0 for a handle, or where the shape is not known."""
    elements = tensor.shape.num_elements() if tensor.dtype.name not in ("resource", "variant", "string") else None
    return int((elements or 0) * tensor.dtype.size)

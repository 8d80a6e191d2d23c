"""What became of every arch that a search has had to do with, packed: of thousands of trials this is what a coordinator keeps."""

from typing import Any

import msgspec

from fvsearch.engines.base import Completed, Failed, Infeasible, Outcome, Stopped

_KINDS: tuple[type[Outcome], ...] = (Completed, Infeasible, Stopped, Failed)


class Outcomes:
    """By arch hash, what an engine was told of an arch; none while it is being evaluated.

    A record with its texts takes a kilobyte, a number for the hash and the outcome as bytes a fifth of that.
    """

    def __init__(self) -> None:
        self._packed: dict[int, bytes | None] = {}

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, arch_hash: object) -> bool:
        return isinstance(arch_hash, str) and int(arch_hash, 16) in self._packed

    def __getitem__(self, arch_hash: str) -> Outcome | None:
        packed = self._packed[int(arch_hash, 16)]
        return None if packed is None else _unpack(packed)

    def __setitem__(self, arch_hash: str, outcome: Outcome | None) -> None:
        self._packed[int(arch_hash, 16)] = None if outcome is None else _pack(outcome)


def _pack(outcome: Outcome) -> bytes:
    return msgspec.msgpack.encode((_KINDS.index(type(outcome)), *msgspec.structs.astuple(outcome)))


def _unpack(packed: bytes) -> Outcome:
    index, *values = msgspec.msgpack.decode(packed)
    kind = _KINDS[index]
    fields: dict[str, Any] = dict(zip(kind.__struct_fields__, values, strict=True))
    outcome: Outcome = msgspec.convert(fields, kind)
    return outcome

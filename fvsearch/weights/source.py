"""Arrays of a file from outside: each is taken once, with its shape checked, and none may be left. So nothing is dropped in silence."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from fvsearch.errors import ConfigError
from fvsearch.weights.archive import require_finite
from fvsearch.weights.plain import Floats, Shape


class Source:
    """Arrays from outside, by key: each is taken with its shape checked, and one that nothing takes is refused. So none is lost.

    Args:
        name: Of the file, for errors.
        arrays: By the format's keys.
        unlike: What our archs have nothing for: patterns of keys, and what such a key holds.

    Raises:
        ConfigError: A key fits such a pattern.
    """

    def __init__(self, name: str, arrays: Mapping[str, Any], unlike: Mapping[str, str]) -> None:
        self.name, self.arrays, self.left = name, arrays, dict.fromkeys(arrays)
        self.zeros: list[str] = []
        for key in arrays:
            for pattern, what in unlike.items():
                if re.search(pattern, key):
                    raise ConfigError(f"an import must carry every weight, but our archs have no {what}, and {name} holds `{key}`")

    def shape(self, key: str, rank: int) -> Shape:
        """An array's shape, (r0, ..., rank - 1).

        Raises:
            ConfigError: There is no such array, or it has another rank.
        """
        if key not in self.arrays:
            raise ConfigError(f"a ViT with a class token and learned positions must hold `{key}`, but {self.name} does not")
        shape = tuple(self.arrays[key].shape)
        if len(shape) != rank:
            raise ConfigError(f"`{key}` must have {rank} axes, but its shape is {shape} in {self.name}")
        return shape

    def take(self, key: str, shape: Shape) -> Floats:
        """An array of that shape, in float32; a bias that is not there is zero, but for a norm's.

        Raises:
            ConfigError: There is no such array, or its shape or type is another, or not all of it are finite numbers.
        """
        if key not in self.arrays and key.endswith("bias"):
            if re.search("norm", key, re.IGNORECASE):
                raise ConfigError(
                    f"an import must have layer norms, and one without a bias may be another kind of norm, but {self.name} has no `{key}`; "
                    "if it is a layer norm, put zeros there"
                )
            self.zeros.append(key)
            return np.zeros(shape, np.float32)
        found = self.shape(key, len(shape))
        if found != shape:
            raise ConfigError(f"`{key}` must have shape {shape}, for the others say so, but it is {found} in {self.name}")
        value = np.asarray(self.arrays[key])
        if value.dtype.kind in "biucOSU":
            raise ConfigError(f"`{key}` must hold floats, but it holds {value.dtype} in {self.name}")
        self.left.pop(key, None)
        with np.errstate(over="ignore"):  # what float32 has no room for is infinite then
            floats = value.astype(np.float32)
        require_finite(iter([(key, floats)]), self.name)
        return floats

    def finish(self) -> tuple[str, ...]:
        """End the taking: what a user should know of it.

        Raises:
            ConfigError: An array is left.
        """
        if self.left:
            more = f" and {len(self.left) - 1} others" if len(self.left) > 1 else ""
            raise ConfigError(
                f"an import must carry every weight, but our archs have nothing for `{next(iter(self.left))}`{more} in {self.name}"
            )
        if not self.zeros:
            return ()
        return (f"the source has no {', no '.join(sorted({_kind(key) for key in self.zeros}))}: zero here, and trained from there on",)


def _kind(key: str) -> str:
    """`blocks.11.attn.qkv.bias` to `blocks.*.attn.qkv.bias`."""
    return re.sub(r"\d+", "*", key)

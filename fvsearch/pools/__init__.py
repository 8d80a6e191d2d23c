"""Pools: where a search's work runs. `base` is the contract, `make_pool` makes one by name."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from fvsearch.errors import ConfigError
from fvsearch.pools.base import NodeLost, Pool, TimedOut, WorkerDied
from fvsearch.records import suggest

__all__ = ["Kind", "NodeLost", "Pool", "TimedOut", "WorkerDied", "closing", "count_places", "make_pool"]

Kind = Literal["local", "inline", "ray"]


def make_pool(
    kind: Kind,
    num_workers: int,
    *,
    environment: Mapping[str, str] | None = None,
    log_path: Path | None = None,
    max_tasks: int | None = None,
    timeout: float | None = None,
    resources: Mapping[str, float] | None = None,
    alone: bool = False,
    address: str | None = None,
) -> Pool:
    """The pool of that name.

    Args:
        kind: "local" processes, processes on the nodes of a "ray" cluster, or "inline" in this process, which has use for the environment
            alone.
        num_workers: Tasks that run side by side.
        environment: Variables that the work must see, such as KERAS_BACKEND.
        log_path: File to which workers append their output; none throws it away.
        max_tasks: Tasks after which a worker is replaced by a fresh one.
        timeout: Seconds that a task may take.
        resources: Of a Ray cluster that each worker is to have.
        alone: Whether each is to have a node's device to itself there; on this machine a pool of one has.
        address: Of the Ray cluster.

    Raises:
        ConfigError: An unknown kind, numbers below 1, or a Ray cluster that cannot do the work.
        RunError: A Ray cluster that cannot be reached.
    """
    for name, value in {"num_workers": num_workers, "max_tasks": max_tasks}.items():
        if value is not None and value < 1:
            raise ConfigError(f"`{name}` must be at least 1, but got {value}")
    if timeout is not None and not timeout > 0:
        raise ConfigError(f"`timeout` must be above 0 seconds, but got {timeout:g}")
    if kind == "inline":
        from fvsearch.pools.inline import InlinePool

        return InlinePool(environment=environment)
    if kind == "local":
        from fvsearch.pools.local import LocalPool

        return LocalPool(num_workers, environment=environment, log_path=log_path, max_tasks=max_tasks, timeout=timeout)
    if kind == "ray":
        from fvsearch.pools._ray import RayPool

        return RayPool(
            num_workers,
            resources=resources,
            alone=alone,
            address=address,
            environment=environment,
            log_path=log_path,
            max_tasks=max_tasks,
            timeout=timeout,
        )
    raise ConfigError(f"a pool must be 'local', 'ray' or 'inline', but got {kind!r}{suggest(kind, ('local', 'ray', 'inline'))}")


def count_places(resources: Mapping[str, float], address: str | None = None) -> int:
    """How many workers of such resources a Ray cluster has places for, whoever has them now.

    Raises:
        ConfigError: Ray is not installed, or no node has such resources.
        RunError: The cluster cannot be reached.
    """
    from fvsearch.pools._cluster import connect, live_nodes, settle

    nodes = live_nodes(connect(address))
    wanted = settle(resources, nodes)
    return sum(node.places(wanted) for node in nodes)


@contextlib.contextmanager
def closing(pool: Pool) -> Iterator[Pool]:
    """The pool for the block: its workers end when their tasks have, or at once where the block fails or is interrupted."""
    try:
        yield pool
    except BaseException:
        pool.close(cancel=True)
        raise
    pool.close()

"""What runs on the nodes of a Ray cluster: `look`, once a node, and `Host`, the Ray actor that keeps one worker process.

Tasks are done in a process of the host's own, as on the coordinator's machine, so that a worker is the same thing everywhere: its
environment stands before it starts, it is renewed, timed out and killed with all that it started, and it ends with its host, which Ray
ends with the coordinator.
"""

import contextlib
import os
import pickle
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fvsearch import __version__
from fvsearch.pools._worker import portable
from fvsearch.pools.local import LocalPool
from fvsearch.training.gpus import SHARERS, VISIBLE, gpu_names

SIGHT_SECONDS = 3.0
"""Storage that machines share may show a new file late."""

Resources = Mapping[str, float]
"""Of Ray, by name: CPU, GPU, TPU, memory in bytes, and whatever a cluster's nodes were started with."""


class Seen(NamedTuple):
    """What a node says of itself.

    Attributes:
        name: Of the machine.
        version: Of fvsearch there.
        folder: Whether the study's folder is there.
        gpus: Names of its GPUs, each once.
    """

    name: str
    version: str
    folder: bool
    gpus: tuple[str, ...]


def look(mark: str | None) -> Seen:
    """What this node is.

    Args:
        mark: A file that the coordinator has written into the study's folder; none where there is no folder.
    """
    until = time.monotonic() + SIGHT_SECONDS
    while not (there := mark is None or os.path.exists(mark)) and time.monotonic() < until:
        time.sleep(0.1)
    return Seen(platform.node(), __version__, there, tuple(dict.fromkeys(gpu_names())))


class Posting(NamedTuple):
    """How a host is to run its worker.

    Attributes:
        environment: Variables for it.
        resources: That it has of its node.
        sharers: Workers like it that the node can have at once; they share its cores.
        directory: The coordinator's current one, from which relative paths start; where the node has it.
        path: Where the coordinator finds modules, such as a user's.
        log_path: File to which the worker's output is appended; none throws it away.
        max_tasks: Tasks after which it is replaced.
        timeout: Seconds that a task may take.
    """

    environment: dict[str, str]
    resources: dict[str, float]
    sharers: dict[str, int]
    directory: str
    path: tuple[str, ...]
    log_path: Path | None
    max_tasks: int | None
    timeout: float | None


class Host:
    """The actor.

    Args:
        posting: How.
    """

    def __init__(self, posting: Posting) -> None:
        with contextlib.suppress(OSError):
            os.chdir(posting.directory)
        sys.path += [folder for folder in posting.path if folder not in sys.path]
        self._pool = LocalPool(
            1,
            environment=gpu_variables(posting.resources) | posting.environment,
            log_path=posting.log_path,
            max_tasks=posting.max_tasks,
            timeout=posting.timeout,
            share=posting.sharers.get(_node_id(), 1),
        )

    def place(self, mark: str | None) -> tuple[str, Seen]:
        """The id of the node that this is on, and what it is."""
        return _node_id(), look(mark)

    def perform(self, task: bytes) -> bytes:
        """Do the pickled task; the pickled pair (result, None) or (None, exception)."""
        # Ray's word on threads, which some versions say before each call: a worker is told as a local one is.
        os.environ.pop("OMP_NUM_THREADS", None)
        try:
            fn, argument = pickle.loads(task)
            return pickle.dumps((self._pool.submit(fn, argument).result(), None))
        except BaseException as error:
            error.add_note(f"On the node {platform.node()} of the Ray cluster.")
            return pickle.dumps((None, portable(error)))

    def stop(self) -> None:
        """End the worker, and wait until it is gone."""
        self._pool.close(cancel=True)


def gpu_variables(resources: Resources) -> dict[str, str]:
    """Which GPU a worker has: the one that Ray gave this host, or none; Ray leaves the GPUs in sight of those that asked for none."""
    share = resources.get("GPU", 0.0)
    return {SHARERS: str(max(1, int(1 / share)))} if share else {VISIBLE: ""}


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())

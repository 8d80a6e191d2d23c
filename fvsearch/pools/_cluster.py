"""A Ray cluster as a pool finds it: how it is reached, what its nodes have, which of them can do the work, what that work may ask for."""

import contextlib
import importlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from fvsearch import __version__
from fvsearch.errors import ConfigError, RunError
from fvsearch.pools._host import Resources, Seen, look

CONNECT_SECONDS = 10.0
"""To reach the cluster's head; Ray itself would try for many minutes, and say so on stderr."""

LOOK_SECONDS = 120.0
"""For a node to say what it is: Ray starts a process there, and imports may come from slow storage."""

OBJECT_STORE_BYTES = 100 * 2**20
"""Of a cluster that is started for one study: what passes through it is small."""

ACCELERATORS = ("GPU", "TPU")


class Node(NamedTuple):
    """A node that lives.

    Attributes:
        id: Ray's.
        address: Of its machine.
        has: All its resources, whoever uses them.
    """

    id: str
    address: str
    has: dict[str, float]

    def places(self, resources: Resources) -> int:
        """How many workers that want so much it can have at once."""
        wanted = {name: amount for name, amount in resources.items() if amount}
        return min((int(self.has.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items()), default=1)


def connect(address: str | None) -> Any:
    """Ray, connected to a cluster; a connection that this process has is taken as it is.

    Args:
        address: Of the cluster's head, "HOST:PORT", or "local" for one of this process's own; else what RAY_ADDRESS says, else the one
            that runs on this machine, else one of its own.

    Raises:
        ConfigError: Ray is not installed, or the address is none.
        RunError: The cluster cannot be reached, or runs other versions.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        raise ConfigError('the pool "ray" needs Ray, which is not installed: pip install "fvsearch[ray]"') from None
    if ray.is_initialized():
        return ray
    wanted = address or os.environ.get("RAY_ADDRESS") or ""
    _require_reachable(wanted)
    quiet = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    try:
        with _own_signals():
            if wanted not in ("", "local"):
                ray.init(address=wanted, **quiet)
            elif not wanted:
                # Ray raises this where none runs on this machine.
                with contextlib.suppress(ConnectionError):
                    ray.init(address="auto", **quiet)
            if not ray.is_initialized():
                # Ray would give workers the lowest priority but one; here nobody else's work is in their way.
                os.environ.setdefault("RAY_worker_niceness", "0")
                ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
        # What Ray prints of lost workers, on stdout and whatever it is told, the pool tells in a sentence; there is no public way.
        with contextlib.suppress(AttributeError):
            ray._private.worker._worker_logs_enabled = False
    except Exception as error:
        where = f"the Ray cluster at {wanted}" if wanted not in ("", "local") else "a Ray cluster on this machine"
        raise RunError(f"cannot connect to {where}: {first_line(error)}") from error
    return ray


def _require_reachable(address: str) -> None:
    """The law that somebody listens where the cluster is to be."""
    if "://" in address:
        raise ConfigError(
            f"a Ray address must be HOST:PORT of the cluster's head, but got {address}; start fvsearch on a machine of the cluster, "
            "or by `ray job submit`"
        )
    host, separator, port = address.rpartition(":")
    if not separator:
        if address not in ("", "auto", "local"):
            raise ConfigError(f'a Ray address must be HOST:PORT of the cluster\'s head, "auto" or "local", but got {address!r}')
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise RunError(f"cannot connect to the Ray cluster at {address}: {first_line(error)}; `ray start --head` starts one") from None


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """What signals do to this process is not Ray's to say."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def live_nodes(ray: Any) -> list[Node]:
    """The cluster's nodes that live."""
    return [Node(node["NodeID"], node["NodeManagerAddress"], dict(node["Resources"])) for node in ray.nodes() if node["Alive"]]


def settle(named: Resources, nodes: Sequence[Node]) -> dict[str, float]:
    """What each worker is to have: what the study names, or a GPU where the cluster has any; and a CPU, unless it says how many.

    Raises:
        ConfigError: No node has as much.
    """
    default = {"GPU": 1.0} if not named and any(node.has.get("GPU") for node in nodes) else {}
    resources = {"CPU": 1.0} | default | dict(named)
    if not any(node.places(resources) for node in nodes):
        has = "; ".join(dict.fromkeys(f"{node.address} has {show(shown)}" if (shown := _plain(node)) else node.address for node in nodes))
        raise ConfigError(
            f"a worker is to have {show(resources)}, but no node of the Ray cluster has as much ({has}); name less under [resources] in "
            "the study, or start a node that has it"
        )
    return resources


def whole(resources: Resources, nodes: Sequence[Node]) -> dict[str, float]:
    """What a worker is to have that has its device to itself: whole accelerators, or, where it has none, all of a node.

    Of nodes of several sizes it is one of the largest, so that it is always one of the same.
    """
    accelerators = {name: float(max(1, round(resources[name]))) for name in ACCELERATORS if resources.get(name)}
    if accelerators:
        return {**resources, **accelerators}
    return {**resources, "CPU": max(node.has.get("CPU", 0.0) for node in nodes if node.places(resources))}


def check_nodes(ray: Any, nodes: Sequence[Node], resources: Resources, mark: str | None) -> str:
    """The laws of the nodes that can have a worker: this version of fvsearch, the study's folder in sight, GPUs of one kind: which.

    Args:
        ray: Connected.
        nodes: That live.
        resources: Of a worker.
        mark: A file in the study's folder.

    Raises:
        ConfigError: A node breaks one.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(look)
    able = [node for node in nodes if node.places(resources)]
    asked = [
        task.options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(mark)
        for node in able
    ]
    ray.wait(asked, num_returns=len(asked), timeout=LOOK_SECONDS)
    kind = ""
    for node, answer in zip(able, asked, strict=True):
        try:
            seen: Seen = ray.get(answer, timeout=0)
        except ray.exceptions.GetTimeoutError:
            # It has no hands free, or is about to be lost; who works there is looked at again.
            continue
        except ray.exceptions.RayError as error:
            if node in live_nodes(ray):
                raise ConfigError(
                    f"every node of the Ray cluster must have fvsearch {__version__}, but {node.address} cannot run it: {last_line(error)}"
                ) from None
            continue
        kind = check_node(seen, resources, mark, kind)
    return kind


def check_node(seen: Seen, resources: Resources, mark: str | None, kind: str) -> str:
    """The laws of one node; the kind of GPU that workers have, where they have any.

    Args:
        seen: What it is.
        resources: Of a worker.
        mark: A file in the study's folder.
        kind: Of GPU that workers have on other nodes; empty where that is not known.

    Raises:
        ConfigError: It breaks one.
    """
    if seen.version != __version__:
        raise ConfigError(f"every node of the Ray cluster must have fvsearch {__version__}, but {seen.name} has {seen.version}")
    if not seen.folder:
        raise ConfigError(
            f"a study's folder must lie where all nodes of the Ray cluster see it under the same path, but {seen.name} does not see "
            f"{os.path.dirname(mark or '')}; give one on shared storage with --out"
        )
    if not resources.get("GPU"):
        return ""
    kinds = list(dict.fromkeys([kind] * bool(kind) + list(seen.gpus)))
    if len(kinds) > 1:
        raise ConfigError(
            f"a study must run on GPUs of one kind, for memory and images/s of others do not compare, but the Ray cluster has "
            f"{' and '.join(kinds)} (on {seen.name}); name one under [resources] in the study as Ray does in `ray status`: "
            '"accelerator_type:H100" = 0.001'
        )
    return "".join(kinds)


def show(resources: Resources) -> str:
    """`GPU=1, CPU=4`."""
    return ", ".join(f"{name}={amount:g}" for name, amount in resources.items())


def _plain(node: Node) -> dict[str, float]:
    """What a node has, as a user would name it."""
    return {name: amount for name, amount in sorted(node.has.items()) if not name.startswith(("node:", "memory", "object_store_memory"))}


def first_line(error: BaseException) -> str:
    """What an error says, on one line."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def last_line(error: BaseException) -> str:
    """What a traceback ends with."""
    return next(reversed(str(error).strip().splitlines()), "") or type(error).__name__

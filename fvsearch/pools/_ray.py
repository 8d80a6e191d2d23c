"""The Ray pool: workers on the nodes of a cluster. Ray finds each a place; a lost process is a worker that died, a lost node is not."""

import contextlib
import os
import pickle
import sys
from collections.abc import Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

from fvsearch.errors import ConfigError
from fvsearch.pools._cluster import check_node, check_nodes, connect, last_line, live_nodes, settle, whole
from fvsearch.pools._host import Host, Posting, Resources, Seen
from fvsearch.pools._marks import leave_mark
from fvsearch.pools._threads import PoolWorker, WorkerPool
from fvsearch.pools.base import NodeLost, WorkerDied
from fvsearch.training.environment import THREADS

POLL_SECONDS = 0.5
"""Between looks for what else may have happened while a worker waits for its place."""

STOP_SECONDS = 10.0
"""For a worker's process to end; what its node does not answer to, Ray ends."""

OPTIONS = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
"""What Ray calls these resources where an actor is made; the others go by their names."""


class RayPool(WorkerPool):
    """Workers on a Ray cluster, each an actor with a process of its own.

    Args:
        num_workers: Tasks that run side by side, as far as the cluster has places; the others wait for one.
        resources: That each worker is to have, by Ray's names.
        alone: Whether a worker is to have its device to itself.
        address: Of the cluster.
        environment: Variables for the workers.
        log_path: In the study's folder, which all nodes must see; a worker's output is appended to a file beside it, none throws it away.
        max_tasks: After which a worker's process is replaced; none keeps it.
        timeout: Seconds that a task may take, once it has a worker; none is no limit.

    Raises:
        ConfigError: Ray is not installed, no node has such resources, or a node cannot do the work.
        RunError: The cluster cannot be reached.
    """

    def __init__(
        self,
        num_workers: int,
        *,
        resources: Resources | None = None,
        alone: bool = False,
        address: str | None = None,
        environment: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        max_tasks: int | None = None,
        timeout: float | None = None,
    ) -> None:
        # A worker renews its process itself, and has the time limit: its place stays its own.
        super().__init__(num_workers, None, None)
        self._ray = connect(address)
        nodes = live_nodes(self._ray)
        self._resources = settle(resources or {}, nodes)
        self._mark = leave_mark(log_path.resolve().parent) if log_path else None
        try:
            self._kind = check_nodes(self._ray, nodes, self._resources, self._where)
        except BaseException:
            self._unmark()
            raise
        if alone:
            self._resources = whole(self._resources, nodes)
        threads = {name: os.environ[name] for name in THREADS if name in os.environ}
        self._log_path = log_path.resolve() if log_path else None
        self._posting = Posting(
            environment=threads | dict(environment or {}),
            resources=self._resources,
            sharers={node.id: max(1, node.places(self._resources)) for node in nodes},
            directory=os.getcwd(),
            path=tuple(sys.path),
            log_path=None,
            max_tasks=max_tasks,
            timeout=timeout,
        )

    def close(self, *, cancel: bool = False) -> None:
        """End the workers and wait until they are gone: when all tasks have ended, or at once.

        Args:
            cancel: To kill what runs and drop what is queued; their futures raise CancelledError.
        """
        try:
            super().close(cancel=cancel)
        finally:
            self._unmark()

    @property
    def _where(self) -> str | None:
        return str(self._mark) if self._mark else None

    def _unmark(self) -> None:
        if self._mark:
            self._mark.unlink(missing_ok=True)

    def _new_worker(self, place: int) -> "RayWorker":
        log = self._log_path.with_name(f"{self._log_path.stem}-{place}{self._log_path.suffix}") if self._log_path else None
        return RayWorker(self._ray, self._posting._replace(log_path=log), self._where, self._kind)

    def _take(self) -> PoolWorker:
        """An idle worker, or a new one once Ray has a place for it; whichever there is first."""
        if idle := self._idle_worker():
            return idle
        worker = self._added(self._new_worker)
        assert isinstance(worker, RayWorker)
        try:
            while not worker.has_place(POLL_SECONDS) and not self._cancelled:
                # What one had that is idle now may be what this one waits for.
                if idle := self._idle_worker():
                    self._drop(worker)
                    return idle
            if self._cancelled:
                raise CancelledError
        except BaseException:
            self._drop(worker)
            raise
        return worker


class RayWorker:
    """An actor, and the process that it keeps.

    Args:
        ray: Connected.
        posting: How it is to work.
        mark: A file that its node must see.
        kind: Of GPU that it must have; empty where that does not matter.

    Attributes:
        num_tasks: That it has done.
        ended: Whether it is lost; all that is left to do is to stop it.
    """

    def __init__(self, ray: Any, posting: Posting, mark: str | None, kind: str) -> None:
        self.num_tasks, self.ended = 0, False
        self._ray, self._posting, self._mark, self._kind = ray, posting, mark, kind
        self._node: tuple[str, Seen] | None = None
        own = {OPTIONS[name]: amount for name, amount in posting.resources.items() if name in OPTIONS}
        others = {name: amount for name, amount in posting.resources.items() if name not in OPTIONS}
        # Two calls at a time: the end of a task must not be waited for to stop it.
        actor = ray.remote(Host).options(**own, resources=others, max_restarts=0, max_task_retries=0, max_concurrency=2)
        self._actor = actor.remote(posting)
        self._placed = self._actor.place.remote(mark)

    def has_place(self, seconds: float) -> bool:
        """Whether it can work, within so many seconds.

        Raises:
            NodeLost: It was lost before it could.
            ConfigError: It never could where it is.
        """
        if self._node is None:
            ready, _ = self._ray.wait([self._placed], timeout=seconds)
            if not ready:
                return False
            self._node = self._get(self._placed)
            check_node(self._node[1], self._posting.resources, self._mark, self._kind)
        return True

    @property
    def answers(self) -> bool:
        """Whether it is there and waits for a task; its process is the actor's care."""
        with contextlib.suppress(WorkerDied):
            self._get(self._actor.place.remote(None))
        return not self.ended

    def perform(self, task: bytes, timeout: float | None) -> Any:
        """What a pickled task returns; the time limit is the posting's.

        Raises:
            WorkerDied: The process or its host was lost first.
            NodeLost: Its node was.
            TimedOut: The time limit ended first.
            BaseException: Whatever the task raised.
        """
        result, error = pickle.loads(self._get(self._actor.perform.remote(task)))
        self.num_tasks += 1
        if error is not None:
            raise error
        return result

    def kill(self) -> None:
        """End the actor, and with it all that it started, now."""
        self._ray.kill(self._actor)

    def stop(self) -> None:
        """End the process, then the actor; one that is not there yet is not waited for."""
        if self._node is not None and not self.ended:
            with contextlib.suppress(self._ray.exceptions.RayError, self._ray.exceptions.GetTimeoutError):
                self._ray.get(self._actor.stop.remote(), timeout=STOP_SECONDS)
        self.kill()

    def _get(self, answer: Any) -> Any:
        """What the actor answers."""
        try:
            return self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            self.ended = True
            if self._node is None and "creation task" in str(error):
                raise ConfigError(f"a worker must start on the Ray cluster, but it cannot: {last_line(error)}") from None
            raise self._lost(error) from None

    def _lost(self, error: BaseException) -> WorkerDied:
        """How it was lost."""
        law = "a worker must live until its task ends, but"
        if self._node is None:
            return NodeLost(f"{law} it was lost before it had a place on the Ray cluster")
        node, seen = self._node
        log = f"; its output is in {self._posting.log_path}" if self._posting.log_path else ""
        if node not in {found.id for found in live_nodes(self._ray)}:
            return NodeLost(f"{law} the node {seen.name} of the Ray cluster was lost{log}")
        hint = " (Ray ends workers where a node's memory runs out)" if "memory" in str(error).lower() else ""
        return WorkerDied(f"{law} its process on the node {seen.name} of the Ray cluster was killed{hint}{log}")

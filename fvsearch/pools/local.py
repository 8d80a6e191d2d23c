"""The local pool: worker processes on this machine, kept warm."""

from collections.abc import Mapping
from pathlib import Path

from fvsearch.pools._threads import WorkerPool
from fvsearch.pools._worker import Worker, start_trackers
from fvsearch.training.environment import worker_environment
from fvsearch.training.gpus import gpu_environment


class LocalPool(WorkerPool):
    """Processes that share the machine: its cores are divided among them, and each has a GPU of its own while there are enough.

    Args:
        num_workers: Processes that work side by side.
        environment: Variables for the workers; KERAS_BACKEND among them, for they have it before they start.
        log_path: File to which the workers' output is appended; none throws it away.
        max_tasks: After which a worker is replaced; none keeps it.
        timeout: Seconds that a task may take; none is no limit.
        share: How many pools like this one share the machine's cores.
    """

    def __init__(
        self,
        num_workers: int,
        *,
        environment: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        max_tasks: int | None = None,
        timeout: float | None = None,
        share: int = 1,
    ) -> None:
        super().__init__(num_workers, max_tasks, timeout)
        self._environment, self._log_path, self._share = environment or {}, log_path, share
        start_trackers()

    def _new_worker(self, place: int) -> Worker:
        gpu = gpu_environment(place, self.num_workers)
        return Worker(gpu | worker_environment(self._environment, self.num_workers * self._share), self._log_path)

"""What a process that trains should be told, in environment variables, before a backend is imported."""

import contextlib
import gc
import os
from collections.abc import Iterator, Mapping

TRAINING = {
    # JAX and PyTorch take faster kernels on GPUs that differ from run to run, unless told not to. On a CPU XLA compiles a step a
    # tenth faster where LLVM leaves loops rolled and straight lines scalar, and steps take as long (docs/overhead.md).
    "XLA_FLAGS": "--xla_gpu_deterministic_ops=true "
    "--xla_backend_extra_options=xla_cpu_disable_loop_unrolling=true,xla_cpu_disable_slp_vectorizer=true",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # JAX and TensorFlow take all of a GPU's memory from the start, unless told not to; workers may share one.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    # PyTorch's threads wait by spinning: where other processes had work on the same two cores, a training took 10 times as long.
    "OMP_WAIT_POLICY": "passive",
    # JAX gives a step's memory back to the system and takes it anew for the next: in pages of 4 KiB that was a third of a step of ViT-Ti on
    # a CPU. Read when a process starts, so of use to workers alone.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    # TensorFlow writes notes on its start to stderr.
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

# NPROC is what XLA's CPU client sizes its pools by; an `intra_op_parallelism_threads` among the XLA_FLAGS does nothing in jaxlib 0.10.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")
"""Variables that say how many threads a process's backend, and the libraries below it, may use."""


def set_environment() -> None:
    """Set what the user has not; without effect on a backend that is imported already."""
    for name, value in TRAINING.items():
        os.environ.setdefault(name, value)


@contextlib.contextmanager
def lasting_imports() -> Iterator[None]:
    """Import a backend in the block: no garbage is looked for meanwhile, and what there is afterwards is never looked through again.

    Modules live as long as the process. Looking through TensorFlow's took 0.7 of 2.9 s of its import, and 0.2 s before every trial.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def worker_environment(environment: Mapping[str, str], num_workers: int) -> dict[str, str]:
    """What workers are told beside this process's environment, the cores divided among them; what the user set stays as it is.

    Args:
        environment: Variables that win over all others, such as KERAS_BACKEND.
        num_workers: That share the cores; a single worker is left to its backend's defaults.
    """
    defaults = dict(TRAINING)
    if num_workers > 1:
        defaults |= dict.fromkeys(THREADS, str(max(1, num_cores() // num_workers)))
    return {name: value for name, value in defaults.items() if name not in os.environ} | dict(environment)


def num_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

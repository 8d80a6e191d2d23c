"""The environment that workers start with, complete before Python itself starts there."""

import os
import sys
from collections.abc import Mapping

# TensorFlow's start-up chatter off; JAX and TensorFlow take GPU memory as they need it, so that workers can share one.
_ALWAYS = {"TF_CPP_MIN_LOG_LEVEL": "2", "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}

# NPROC is what XLA's CPU client sizes its pools by; an `intra_op_parallelism_threads` among the XLA_FLAGS does nothing in jaxlib 0.10.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")


def worker_environment(environment: Mapping[str, str], num_workers: int) -> dict[str, str]:
    """This process's environment with the cores divided among the workers; what the user set stays as it is.

    Args:
        environment: Variables that win over all others, such as KERAS_BACKEND.
        num_workers: That share the cores; a single worker is left to its backend's defaults.
    """
    defaults = dict(_ALWAYS)
    if num_workers > 1:
        defaults |= dict.fromkeys(_THREADS, str(max(1, _num_cores() // num_workers)))
    # A worker imports what this process could import, its sys.path changed or not.
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return defaults | os.environ | dict(environment) | {"PYTHONPATH": path}


def _num_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

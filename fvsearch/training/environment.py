"""What a process that trains should be told, in environment variables, before a backend is imported."""

import os

TRAINING = {
    # JAX and PyTorch take faster kernels on GPUs that differ from run to run, unless told not to.
    "XLA_FLAGS": "--xla_gpu_deterministic_ops=true",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # JAX and TensorFlow take all of a GPU's memory from the start, unless told not to.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    # PyTorch's threads wait by spinning: where other processes had work on the same two cores, a training took 10 times as long.
    "OMP_WAIT_POLICY": "passive",
    # TensorFlow writes notes on its start to stderr.
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def set_environment() -> None:
    """Set what the user has not; without effect on a backend that is imported already."""
    for name, value in TRAINING.items():
        os.environ.setdefault(name, value)

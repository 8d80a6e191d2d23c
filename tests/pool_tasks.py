"""What the workers of the pools' tests do. A module of its own, so that a worker imports no pytest."""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fvsearch.errors import ConfigError


def double(x):
    return 2 * x


def pid(seconds):
    time.sleep(seconds)
    return os.getpid()


def meet(where):
    """Wait until so many are in a folder at once, this one as well; the process."""
    folder, count = where
    limit = time.monotonic() + 60
    Path(folder, str(os.getpid())).touch()
    while len(os.listdir(folder)) < count:
        assert time.monotonic() < limit, "nobody else came"
        time.sleep(0.02)
    return os.getpid()


def grow(size):
    """Take memory and keep it, for longer than loky leaves between two looks at it."""
    sys.modules[__name__].taken = bytearray(os.urandom(1) * size)
    time.sleep(1.2)


def hold(path):
    """Write the pid to a file and keep it locked, busy, until killed: for a minute, should the test fail."""
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{os.getpid()}\n")
        file.flush()
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            pass


def hold_with_child(path):
    """The same, while a process started from here holds another file, and yet another of a fork."""
    here = os.path.dirname(__file__)
    subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {here!r}); import pool_tasks; pool_tasks.hold({path + '.child'!r})"]
    )
    if os.fork() == 0:
        hold(path + ".fork")
    hold(path)


def wait_until_held(path, seconds=20.0):
    """Wait for a process to hold the file; its pid."""
    limit = time.monotonic() + seconds
    while not (Path(path).exists() and Path(path).read_text().strip()):
        assert time.monotonic() < limit, f"nobody came to hold {path}"
        time.sleep(0.02)
    return int(Path(path).read_text())


def is_released(path, seconds=5.0):
    """Whether the process that held the file ends within the seconds; the system unlocks it then, and not before."""
    limit = time.monotonic() + seconds
    with open(path) as file:
        while time.monotonic() < limit:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02)
            else:
                return True
    return False


def end(how):
    """End the process in one of the ways processes end."""
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        ctypes.string_at(0)


def end_leaving_a_fork(seconds):
    """Die while a forked child keeps this process's pipes open."""
    if os.fork() == 0:
        time.sleep(seconds)
        os._exit(0)
    os._exit(7)


class PickyError(Exception):
    """Pickles, and does not unpickle."""

    def __init__(self, *, name):
        super().__init__(f"about {name}")


def fail(how):
    if how == "law":
        raise ConfigError("`width` must divide by `num_heads`")
    if how == "value":
        raise ValueError("out of range", 7)
    if how == "exit":
        sys.exit(3)
    if how == "picky":
        raise PickyError(name="something")
    if how == "foreign":
        raise subprocess.CalledProcessError(1, "nothing")
    return lambda: "cannot be pickled"


def chat(text):
    sys.stdout.write(f"{text} on stdout\n")
    sys.stderr.write(f"{text} on stderr\n")
    os.write(1, f"{text} from below\n".encode())
    return sys.stdin.read()


def environment(names):
    return {name: os.environ.get(name) for name in names}


def pinned(seconds):
    """This process, and the GPU that it sees, after a while."""
    time.sleep(seconds)
    return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")


def ignores_interrupts(_):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)
    return True


def beginning(_):
    """How this process was started, and what it has loaded in that order: where a module comes from that should not be there."""
    told = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "PYTEST", "LOKY"))}
    return {"command": sys.orig_argv, "main": repr(sys.modules["__main__"]), "path": sys.path, "told": told, "loaded": list(sys.modules)}


def modules(_):
    return sorted({name.partition(".")[0] for name in sys.modules})

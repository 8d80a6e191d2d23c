"""What a worker process runs: `python -m fvsearch.pools._worker TASKS RESULTS`, the numbers of two inherited pipes.

The pipe of tasks is also the lifeline. Its only writer is the coordinator, so it ends the moment the coordinator does, by whatever cause,
kill -9 among them; a thread that does nothing but read it then ends the worker, in the middle of a training if need be.
"""

import contextlib
import faulthandler
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from typing import NoReturn

from fvsearch.errors import RunError
from fvsearch.pools._frames import read_frame, write_frame


def main(tasks: int, results: int) -> NoReturn:
    """Serve until the coordinator closes the pipe of tasks or dies."""
    # Ctrl-C in a terminal is meant for the coordinator, which decides what becomes of the work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A crash below Python leaves its stack in the log.
    faulthandler.enable()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for pipe in (tasks, results):
        os.set_inheritable(pipe, False)
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks, inbox), daemon=True).start()
    while True:
        write_frame(results, _perform(inbox.get()))


def _listen(tasks: int, inbox: "queue.SimpleQueue[bytes]") -> None:
    while True:
        try:
            inbox.put(read_frame(tasks))
        except (EOFError, OSError):
            if os.getpgrp() == os.getpid():
                # With all that this worker started: it leads its own process group.
                os.killpg(0, signal.SIGKILL)
            os._exit(1)


def _perform(frame: bytes) -> bytes:
    """The pickled pair (result, None) or (None, exception)."""
    try:
        fn, argument = pickle.loads(frame)
        return pickle.dumps((fn(argument), None))
    except BaseException as error:
        error.add_note(f"In the worker:\n{''.join(traceback.format_exception(error))}")
        return pickle.dumps((None, _portable(error)))


def _portable(error: BaseException) -> BaseException:
    """The exception itself where reading it loads nothing into the coordinator that it lacks, else its text."""
    home = type(error).__module__
    plain = all(isinstance(argument, str | int | float | None) for argument in error.args)
    if plain and (home == "builtins" or home.startswith("fvsearch.")):
        with contextlib.suppress(Exception):
            pickle.loads(pickle.dumps(error))
            return error
    portable = RunError(f"{type(error).__name__}: {error}")
    for note in error.__notes__:
        portable.add_note(note)
    return portable


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

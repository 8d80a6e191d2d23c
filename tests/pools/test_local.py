import errno
import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pool_tasks as tasks
import pytest
from fake_nvml import FakeNvml

from fvsearch.errors import ConfigError, RunError
from fvsearch.pools import TimedOut, WorkerDied, make_pool

HERE = Path(tasks.__file__).parent


@pytest.fixture
def pools():
    """A maker of local pools that are closed at the end."""
    made = []

    def make(num_workers=1, **settings):
        made.append(make_pool("local", num_workers, **settings))
        return made[-1]

    yield make
    for pool in made:
        pool.close(cancel=True)


def run(pool, fn, argument):
    return pool.submit(fn, argument).result(timeout=30)


def open_files():
    gc.collect()
    return len(os.listdir("/dev/fd"))


# What it is to work


def test_work_is_done_in_other_processes_side_by_side(pools):
    pool = pools(2)
    futures = [pool.submit(tasks.pid, 0.4) for _ in range(2)]
    assert len({os.getpid(), *(future.result(timeout=30) for future in futures)}) == 3
    assert pool.num_workers == 2


def test_a_worker_is_kept(pools):
    pool = pools()
    assert run(pool, tasks.pid, 0) == run(pool, tasks.pid, 0)


def test_tasks_beyond_the_workers_are_queued(pools):
    pool = pools(2)
    futures = [pool.submit(tasks.double, number) for number in range(20)]
    assert [future.result(timeout=30) for future in futures] == list(range(0, 40, 2))


def test_after_max_tasks_a_worker_is_replaced(pools):
    pool = pools(max_tasks=2)
    first, second, third = (run(pool, tasks.pid, 0) for _ in range(3))
    assert first == second != third


def test_large_arguments_and_results_pass(pools):
    text = "x" * 3_000_000
    assert run(pools(), tasks.double, text) == text * 2


def test_a_worker_imports_nothing_heavy(pools):
    pool = pools()
    loaded = set(run(pool, tasks.modules, None))
    assert "fvsearch" in loaded
    heavy = loaded & {"keras", "jax", "tensorflow", "torch", "numpy", "optuna", "pytest", "rich"}
    assert not heavy, run(pool, tasks.beginning, None)


# What it sees and says


def test_the_environment_is_set_before_the_worker_starts(pools, monkeypatch):
    monkeypatch.setenv("FVSEARCH_TEST", "inherited")
    pool = pools(environment={"KERAS_BACKEND": "nothing"})
    seen = run(pool, tasks.environment, ["KERAS_BACKEND", "FVSEARCH_TEST", "XLA_PYTHON_CLIENT_PREALLOCATE", "TF_FORCE_GPU_ALLOW_GROWTH"])
    assert list(seen.values()) == ["nothing", "inherited", "false", "true"]


def test_workers_divide_the_cores(pools, monkeypatch):
    names = ["OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC"]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("fvsearch.training.environment.num_cores", lambda: 8)
    assert run(pools(3), tasks.environment, names) == dict.fromkeys(names, "2")
    assert run(pools(16), tasks.environment, names) == dict.fromkeys(names, "1")
    assert run(pools(1), tasks.environment, names) == dict.fromkeys(names)


def test_workers_have_a_gpu_each_and_who_replaces_one_has_its_own(pools, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    FakeNvml(2).install(monkeypatch)
    pool = pools(2)
    first, second = dict(future.result(timeout=30) for future in [pool.submit(tasks.pinned, 0.5) for _ in range(2)]).items()
    assert sorted((first[1], second[1])) == ["0", "1"]
    os.kill(first[0], signal.SIGKILL)
    again = dict(future.result(timeout=30) for future in [pool.submit(tasks.pinned, 0.5) for _ in range(2)])
    assert sorted(again.values()) == ["0", "1"] and again[second[0]] == second[1]
    # What is measured alone sees one of them.
    names = ["CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_PREALLOCATE", "TF_FORCE_GPU_ALLOW_GROWTH", "NPROC"]
    assert list(run(pools(1), tasks.environment, names).values()) == ["0", "false", "true", None]


def test_the_users_own_thread_counts_win(pools, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    seen = run(pools(2, environment={"NPROC": "7"}), tasks.environment, ["OMP_NUM_THREADS", "NPROC"])
    assert seen == {"OMP_NUM_THREADS": "5", "NPROC": "7"}


def test_what_workers_print_goes_to_the_log_and_nowhere_else(pools, tmp_path, capfd):
    log = tmp_path / "workers.log"
    log.write_text("earlier\n")
    assert run(pools(log_path=log), tasks.chat, "hello") == ""
    assert sorted(log.read_text().splitlines()) == ["earlier", "hello from below", "hello on stderr", "hello on stdout"]
    run(pools(), tasks.chat, "unheard")
    assert capfd.readouterr() == ("", "")


# What goes wrong in a task


@pytest.mark.parametrize(
    ("how", "error", "text"),
    [
        ("law", ConfigError, "must divide"),
        ("value", ValueError, "out of range"),
        ("exit", SystemExit, "3"),
        ("picky", RunError, "PickyError: about something"),
        ("foreign", RunError, "CalledProcessError: Command 'nothing'"),
        ("result", Exception, "pickle"),
    ],
)
def test_the_future_raises_what_the_task_raised_and_the_worker_lives(pools, how, error, text):
    pool = pools()
    before = run(pool, tasks.pid, 0)
    future = pool.submit(tasks.fail, how)
    with pytest.raises(error, match=text) as caught:
        future.result(timeout=30)
    assert "in fail" in caught.value.__notes__[0] or how == "result"
    assert run(pool, tasks.pid, 0) == before


def test_a_task_that_no_worker_could_import_is_refused(pools, monkeypatch):
    monkeypatch.setattr(tasks.double, "__module__", "__main__")
    with pytest.raises(RunError, match="move it to a module"):
        pools().submit(tasks.double, 1)


def test_an_argument_that_cannot_be_pickled_is_refused(pools):
    with pytest.raises(Exception, match="pickle"):
        pools().submit(tasks.double, lambda: 1)


# What goes wrong with a worker


@pytest.mark.parametrize(
    ("how", "text"), [("kill", r"killed by SIGKILL \(as the system does"), ("exit", "exit code 3"), ("segfault", "killed by SIG")]
)
def test_a_worker_that_dies_costs_its_task_and_nothing_else(pools, tmp_path, how, text):
    log = tmp_path / "workers.log"
    pool = pools(2, log_path=log)
    other = pool.submit(tasks.pid, 1.0)
    with pytest.raises(WorkerDied, match=text) as caught:
        run(pool, tasks.end, how)
    assert str(log) in str(caught.value)
    assert "Segmentation fault" in log.read_text() or how != "segfault"
    assert run(pool, tasks.double, 4) == 8
    assert other.result(timeout=30) != os.getpid()


def test_a_worker_killed_from_outside_while_busy_is_reported(pools, tmp_path):
    pool = pools()
    future = pool.submit(tasks.hold, str(tmp_path / "held"))
    os.kill(tasks.wait_until_held(tmp_path / "held"), signal.SIGKILL)
    with pytest.raises(WorkerDied):
        future.result(timeout=30)


@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_a_worker_killed_while_idle_costs_nothing(pools, seconds):
    pool = pools(2)
    for _ in range(3):
        worker = run(pool, tasks.pid, 0)
        os.kill(worker, signal.SIGKILL)
        time.sleep(seconds)
        assert run(pool, tasks.double, 4) == 8
        assert run(pool, tasks.pid, 0) != worker


def test_kills_at_any_moment_leave_no_task_without_an_end(pools):
    # Large texts, so that some die in the middle of a message.
    pool, rng, died = pools(2), random.Random(0), 0
    for _ in range(12):
        futures = [pool.submit(tasks.double, "x" * 3_000_000) for _ in range(2)]
        futures.append(pool.submit(tasks.pid, 0.05))
        time.sleep(rng.random() * 0.1)
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGKILL)
        for future in futures:
            try:
                assert future.result(timeout=20)
            except WorkerDied:
                died += 1
    assert died
    assert run(pool, tasks.double, 4) == 8


def test_a_worker_is_not_replaced_for_the_memory_it_takes(pools):
    pool = pools()
    before = run(pool, tasks.pid, 0)
    run(pool, tasks.grow, 400_000_000)
    assert run(pool, tasks.pid, 0) == before


def test_a_death_is_seen_even_where_a_fork_keeps_the_pipes_open(pools):
    started = time.monotonic()
    with pytest.raises(WorkerDied, match="exit code 7"):
        run(pools(), tasks.end_leaving_a_fork, 20)
    assert time.monotonic() - started < 10


def test_a_task_past_its_time_is_stopped_and_the_pool_goes_on(pools, tmp_path):
    pool = pools(timeout=1.0)
    future = pool.submit(tasks.hold, str(tmp_path / "held"))
    with pytest.raises(TimedOut, match="within 1 s"):
        future.result(timeout=30)
    assert tasks.is_released(tmp_path / "held")
    assert run(pool, tasks.double, 4) == 8


def test_a_log_that_cannot_be_written_fails_the_task(pools, tmp_path):
    with pytest.raises(FileNotFoundError):
        run(pools(log_path=tmp_path / "missing" / "workers.log"), tasks.double, 1)


def test_a_full_disk_for_its_file_leaves_no_process_behind(pools, monkeypatch):
    def full(**ignored):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {child.pid for child in multiprocessing.active_children()}
    monkeypatch.setattr(tempfile, "mkstemp", full)
    with pytest.raises(OSError, match="No space left"):
        run(pools(), tasks.double, 1)
    assert {child.pid for child in multiprocessing.active_children()} <= before


def test_interrupts_are_the_coordinators(pools):
    assert run(pools(), tasks.ignores_interrupts, None)


# What is left


def test_close_lets_tasks_end_and_ends_workers(pools):
    pool = pools(2)
    futures = [pool.submit(tasks.pid, 0.3) for _ in range(4)]
    pool.close()
    assert all(future.done() and future.result() for future in futures)
    for worker in {future.result() for future in futures}:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
    with pytest.raises(RunError, match="before its pool is closed"):
        pool.submit(tasks.double, 1)
    pool.close()


def test_close_with_cancel_ends_everything_at_once(pools, tmp_path):
    pool = pools(2)
    held = [pool.submit(tasks.hold_with_child, str(tmp_path / name)) for name in ("a", "b")]
    queued = pool.submit(tasks.double, 1)
    paths = [tmp_path / f"{name}{which}" for name in ("a", "b") for which in ("", ".child", ".fork")]
    for path in paths:
        tasks.wait_until_held(path)
    started = time.monotonic()
    pool.close(cancel=True)
    assert time.monotonic() - started < 3
    assert all(tasks.is_released(path, seconds=2.0) for path in paths)
    for future in (*held, queued):
        with pytest.raises(CancelledError):
            future.result(timeout=0)


def test_a_queued_task_can_be_cancelled(pools):
    pool = pools()
    first, second = pool.submit(tasks.pid, 0.5), pool.submit(tasks.pid, 0.0)
    assert second.cancel()
    assert first.result(timeout=30)
    assert run(pool, tasks.double, 4) == 8


def test_nothing_stays_open(pools):
    # The first pool of a process starts loky's trackers, which stay.
    pools()
    before = open_files()
    pool = pools(2, max_tasks=1, timeout=20.0)
    for _ in range(3):
        run(pool, tasks.double, 1)
        with pytest.raises(WorkerDied):
            run(pool, tasks.end, "exit")
    pool.close()
    assert open_files() == before


COORDINATOR = """
import os, signal, sys
sys.path.insert(0, {here!r})
import pool_tasks as tasks
from fvsearch.pools import make_pool

pool = make_pool("local", 2)
futures = [pool.submit(tasks.hold_with_child, name) for name in ("a", "b")]
for path in ("a", "b", "a.child", "b.child", "a.fork", "b.fork"):
    tasks.wait_until_held(path)
{end}
"""


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os._exit(1)",
        "raise RuntimeError",
        "pass",
        "signal.signal(signal.SIGINT, signal.SIG_DFL); os.killpg(0, signal.SIGINT)",
    ],
    ids=["kill -9", "_exit", "an error", "the end of the script", "Ctrl-C"],
)
def test_workers_end_with_their_coordinator_in_the_middle_of_a_task(tmp_path, end):
    # No `if __name__ == "__main__"` in it: a worker does not run its coordinator's script.
    script = tmp_path / "coordinator.py"
    script.write_text(COORDINATOR.format(here=str(HERE), end=end))
    # A folder of its own for temporary files: other tests, run beside this one, come and go in the system's.
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    ended = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(temporary)},
        start_new_session=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    for name in ("a", "b", "a.child", "b.child", "a.fork", "b.fork"):
        assert tasks.is_released(tmp_path / name), f"{name} outlived its coordinator"
    assert [line for line in ended.stderr.splitlines() if "esource" in line or "leaked" in line] == []
    assert ended.stderr == "" or end.startswith(("raise", "signal"))
    assert list(temporary.glob("fvsearch-*")) == []


def test_a_script_needs_no_guard(tmp_path):
    # And no file beside it passes for a module of Python's.
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "random.py").write_text("raise RuntimeError('not the module you meant')")
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
            import sys
            sys.path.insert(0, {str(HERE)!r})
            import pool_tasks as tasks
            from fvsearch.pools import make_pool

            print("run")
            pool = make_pool("local", 1, log_path="workers.log")
            print(pool.submit(tasks.double, 21).result(timeout=30))
            pool.close()
        """)
    )
    ended = subprocess.run([sys.executable, str(script)], cwd=tmp_path / "work", timeout=60, capture_output=True, text=True)
    assert (ended.stdout.split(), ended.stderr) == (["run", "42"], "")
    assert (tmp_path / "work" / "workers.log").read_text() == ""

import os
import threading

import pytest
from pool_tasks import double, fail, pid

from fvsearch.errors import ConfigError
from fvsearch.pools import make_pool


def test_work_is_done_at_submit_in_this_process():
    pool = make_pool("inline", 4)
    future = pool.submit(pid, 0)
    assert future.done()
    assert future.result() == os.getpid()
    assert pool.num_workers == 1
    pool.close(cancel=True)


def test_it_may_be_a_local_function():
    assert make_pool("inline", 1).submit(lambda x: (x, threading.current_thread()), 5).result() == (5, threading.main_thread())


def test_the_future_raises_what_the_work_raised():
    future = make_pool("inline", 1).submit(fail, "law")
    with pytest.raises(ConfigError, match="must divide"):
        future.result()


def test_an_interrupt_is_not_swallowed():
    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_pool("inline", 1).submit(interrupted, None)


def test_it_sets_the_environment(monkeypatch):
    monkeypatch.setenv("FVSEARCH_TEST", "before")
    pool = make_pool("inline", 1, environment={"FVSEARCH_TEST": "after"})
    assert pool.submit(lambda name: os.environ[name], "FVSEARCH_TEST").result() == "after"


@pytest.mark.parametrize(
    ("arguments", "law"),
    [
        ({"kind": "locale"}, "did you mean 'local'"),
        ({"num_workers": 0}, "`num_workers` must be at least 1, but got 0"),
        ({"max_tasks": 0}, "`max_tasks` must be at least 1, but got 0"),
        ({"timeout": 0.0}, "`timeout` must be above 0 seconds"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(arguments, law):
    with pytest.raises(ConfigError, match=law):
        make_pool(**({"kind": "inline", "num_workers": 1} | arguments))


def test_both_pools_are_pools():
    for kind in ("inline", "local"):
        pool = make_pool(kind, 2)
        assert pool.submit(double, 21).result(timeout=30) == 42
        pool.close()

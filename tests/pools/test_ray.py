"""The Ray pool on a real Ray: a cluster of this machine's own, of two CPUs, and nodes that come and go."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from pathlib import Path

import msgspec
import pool_tasks as tasks
import psutil
import pytest

from fvsearch import __version__
from fvsearch.errors import ConfigError, RunError
from fvsearch.ledger import Ledger
from fvsearch.pools import TimedOut, WorkerDied, closing, count_places, make_pool
from fvsearch.pools._cluster import Node, check_node, settle, whole
from fvsearch.pools._host import Seen, gpu_variables
from fvsearch.records import to_toml
from fvsearch.study import Data, Proposer
from fvsearch.study.recipe import Recipe
from fvsearch.testing import tiny_arch, tiny_study
from fvsearch.training.segment import Ended, run_segment

ray = pytest.importorskip("ray")

HERE = Path(tasks.__file__).parent


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    # Ray would run workers at the lowest priority but one, beside tests that have a higher one.
    os.environ |= {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100 * 2**20})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def pools(cluster, tmp_path):
    """A maker of pools on the cluster, which are closed at the end."""
    made = []

    def make(num_workers=1, **settings):
        made.append(make_pool("ray", num_workers, address=cluster.address, **settings))
        return made[-1]

    yield make
    for pool in made:
        pool.close(cancel=True)


@pytest.fixture
def node(cluster):
    """A second node, for as long as it is let."""
    added = cluster.add_node(num_cpus=1, resources={"far": 1}, object_store_memory=80 * 2**20)
    yield added
    if added in cluster.list_all_nodes():
        cluster.remove_node(added)


def run(pool, fn, argument):
    return pool.submit(fn, argument).result(timeout=60)


def test_work_is_done_side_by_side_by_workers_that_are_kept(pools, tmp_path):
    pool = pools(2, log_path=tmp_path / "workers.log", environment={"KERAS_BACKEND": "nothing"})
    futures = [pool.submit(tasks.pid, 1.0) for _ in range(2)]
    first = {future.result(timeout=60) for future in futures}
    assert len(first | {os.getpid()}) == 3
    assert run(pool, tasks.pid, 0) in first
    names = ["KERAS_BACKEND", "XLA_PYTHON_CLIENT_PREALLOCATE", "NPROC", "CUDA_VISIBLE_DEVICES"]
    assert list(run(pool, tasks.environment, names).values()) == ["nothing", "false", "1", ""]
    assert not set(run(pool, tasks.modules, None)) & {"keras", "jax", "tensorflow", "torch", "numpy", "optuna", "ray"}
    assert run(pool, tasks.chat, "hello") == ""
    logs = [path.read_text() for path in tmp_path.glob("workers-*.log")]
    assert any("hello from below" in log for log in logs)
    for how, error, text in (("law", ConfigError, "must divide"), ("value", ValueError, "out of range"), ("foreign", RunError, "Command")):
        with pytest.raises(error, match=text) as caught:
            run(pool, tasks.fail, how)
        assert "of the Ray cluster" in caught.value.__notes__[-1]
    assert list(tmp_path.glob(".ray-*"))
    pool.close()
    assert not list(tmp_path.glob(".ray-*"))


def test_a_worker_that_dies_or_takes_too_long_costs_its_task_and_nothing_else(pools, tmp_path):
    pool = pools(timeout=2.0, log_path=tmp_path / "workers.log")
    with pytest.raises(WorkerDied, match="killed by SIGKILL"):
        run(pool, tasks.end, "kill")
    future = pool.submit(tasks.hold, str(tmp_path / "held"))
    with pytest.raises(TimedOut, match="within 2 s"):
        future.result(timeout=60)
    assert tasks.is_released(tmp_path / "held")
    assert run(pool, tasks.double, 4) == 8


def test_a_killed_ray_worker_is_a_worker_that_died_and_leaves_nothing_behind(pools, tmp_path):
    pool = pools()
    future = pool.submit(tasks.hold_with_child, str(tmp_path / "held"))
    for end in (".child", ".fork"):
        tasks.wait_until_held(tmp_path / f"held{end}")
    os.kill(ray_process(tasks.wait_until_held(tmp_path / "held")), signal.SIGKILL)
    with pytest.raises(WorkerDied, match=r"process on the node .* was killed"):
        future.result(timeout=60)
    assert all(tasks.is_released(tmp_path / f"held{end}") for end in ("", ".child", ".fork"))
    assert run(pool, tasks.double, 4) == 8


def ray_process(worker):
    """The actor's process, that started a worker."""
    return psutil.Process(worker).ppid()


def test_a_lost_node_is_a_worker_that_died_and_the_pool_goes_on(pools, cluster, node, tmp_path):
    assert count_places({"CPU": 1}, cluster.address) == 3
    pool = pools(3)
    futures = {number: pool.submit(tasks.hold, str(tmp_path / str(number))) for number in range(3)}
    parents = {number: ray_process(tasks.wait_until_held(tmp_path / str(number))) for number in futures}
    assert len(set(parents.values())) == 3
    cluster.remove_node(node)
    done, others = wait(futures.values(), timeout=60, return_when=FIRST_COMPLETED)
    (lost,) = done
    with pytest.raises(WorkerDied, match=r"the node .* was lost"):
        lost.result()
    assert len(others) == 2


def test_a_worker_waits_for_its_place_and_what_is_idle_meanwhile_does_its_task(pools, tmp_path):
    pool = pools(3, resources={"CPU": 2})
    futures = [pool.submit(tasks.pid, 0.2) for _ in range(3)]
    assert len({future.result(timeout=60) for future in futures}) == 1


def test_alone_is_with_a_node_of_its_own(pools, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    pool, alone = pools(1), pools(1, alone=True)
    first = pool.submit(tasks.pid, 1.5)
    time.sleep(0.5)
    started = time.monotonic()
    seen = alone.submit(tasks.environment, ["NPROC", "OMP_NUM_THREADS"])
    first.result(timeout=60)
    time.sleep(0.5)
    assert not seen.done()
    pool.close()
    assert seen.result(timeout=60) == {"NPROC": None, "OMP_NUM_THREADS": None}
    assert time.monotonic() - started > 1.0


def test_close_with_cancel_ends_what_runs_and_what_waits(pools, tmp_path):
    pool = pools(2, resources={"CPU": 2})
    held, waits = pool.submit(tasks.hold_with_child, str(tmp_path / "a")), pool.submit(tasks.double, 1)
    for end in ("", ".child", ".fork"):
        tasks.wait_until_held(tmp_path / f"a{end}")
    started = time.monotonic()
    pool.close(cancel=True)
    assert time.monotonic() - started < 5
    assert all(tasks.is_released(tmp_path / f"a{end}") for end in ("", ".child", ".fork"))
    for future in (held, waits):
        with pytest.raises(CancelledError):
            future.result(timeout=0)


# What is wrong, in a sentence


def test_what_no_node_has_is_told_at_once(pools):
    with pytest.raises(ConfigError, match=r"CPU=1, TPU=4, but no node .* has as much \(.* has CPU=2\).*\[resources\]"):
        pools(resources={"TPU": 4})


def test_a_node_that_does_not_see_the_folder_is_told_before_any_work(pools, tmp_path, monkeypatch):
    # As on storage of this machine's own: what the node looks for is not there.
    monkeypatch.setattr("fvsearch.pools._ray.Path.touch", lambda path: None)
    with pytest.raises(ConfigError, match=rf"must lie where all nodes .* does not see {tmp_path}; give one on shared storage with --out"):
        pools(log_path=tmp_path / "workers.log")


def test_a_node_of_another_version_is_told(pools, monkeypatch):
    monkeypatch.setattr("fvsearch.pools._cluster.__version__", "99")
    with pytest.raises(ConfigError, match=r"must have fvsearch 99, but .* has \d"):
        pools()


def test_gpus_of_two_kinds_are_told_unless_no_worker_has_any():
    first, second = (Seen(name, __version__, True, (gpu,)) for name, gpu in (("a", "NVIDIA H100"), ("b", "NVIDIA L4")))
    kind = check_node(first, {"GPU": 1}, None, "")
    assert check_node(first, {"GPU": 1}, None, kind) == kind == "NVIDIA H100"
    with pytest.raises(ConfigError, match=r"NVIDIA H100 and NVIDIA L4 \(on b\); name one under \[resources\].*accelerator_type"):
        check_node(second, {"GPU": 1}, None, kind)
    assert check_node(second, {"CPU": 1, "GPU": 0}, None, kind) == ""


def nodes(*has):
    return [Node(f"id{number}", f"10.0.0.{number}", resources) for number, resources in enumerate(has)]


def test_workers_have_what_the_study_names_else_a_gpu_where_there_are_any():
    cpus, gpus = {"CPU": 8.0}, {"CPU": 16.0, "GPU": 4.0}
    assert settle({}, nodes(cpus)) == {"CPU": 1.0}
    assert settle({}, nodes(cpus, gpus)) == {"CPU": 1.0, "GPU": 1.0}
    assert settle({"CPU": 4}, nodes(cpus, gpus)) == {"CPU": 4}
    assert [node.places(settle({"CPU": 4}, nodes(cpus, gpus))) for node in nodes(cpus, gpus)] == [2, 4]
    assert [node.places({"CPU": 1, "GPU": 0.5}) for node in nodes(cpus, gpus)] == [0, 8]
    assert [node.places({"CPU": 0, "GPU": 0.1}) for node in nodes(cpus, gpus)] == [0, 40]


def test_what_measures_has_whole_gpus_or_a_whole_node():
    cpus, more, gpus = {"CPU": 8.0}, {"CPU": 16.0}, {"CPU": 64.0, "GPU": 4.0}
    assert whole({"CPU": 2, "GPU": 0.5}, nodes(cpus, gpus)) == {"CPU": 2, "GPU": 1.0}
    assert whole({"CPU": 2}, nodes(cpus, more)) == {"CPU": 16.0}
    assert whole({"CPU": 1, "TPU": 4}, nodes({"CPU": 8.0, "TPU": 4.0})) == {"CPU": 1, "TPU": 4.0}


def test_a_host_tells_its_worker_which_gpu_it_has():
    assert gpu_variables({"CPU": 4}) == {"CUDA_VISIBLE_DEVICES": ""}
    assert gpu_variables({"CPU": 4, "GPU": 1.0}) == {"FVSEARCH_WORKERS_ON_GPU": "1"}
    assert gpu_variables({"CPU": 4, "GPU": 0.25}) == {"FVSEARCH_WORKERS_ON_GPU": "4"}


@pytest.mark.parametrize(
    ("address", "error", "text"),
    [
        ("127.0.0.1:1", RunError, "cannot connect to the Ray cluster at 127.0.0.1:1: .*refused; `ray start --head`"),
        ("ray://head:10001", ConfigError, "must be HOST:PORT of the cluster's head, but got ray://head"),
        ("nowhere", ConfigError, 'HOST:PORT of the cluster\'s head, "auto" or "local", but got \'nowhere\''),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_told_at_once(address, error, text, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    started = time.monotonic()
    with pytest.raises(error, match=text):
        make_pool("ray", 1, address=address)
    assert time.monotonic() - started < 5


def test_ray_that_is_missing_is_told_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r'needs Ray.*pip install "fvsearch\[ray\]"'):
        make_pool("ray", 1)


# Whole processes

COORDINATOR = """
import os, signal, sys
sys.path.insert(0, {here!r})
import pool_tasks as tasks
from fvsearch.pools import make_pool

pool = make_pool("ray", 1, address={address!r})
future = pool.submit(tasks.hold_with_child, "a")
for path in ("a", "a.child", "a.fork"):
    tasks.wait_until_held(path)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_with_a_killed_coordinator(cluster, tmp_path):
    script = tmp_path / "coordinator.py"
    script.write_text(COORDINATOR.format(here=str(HERE), address=cluster.address))
    ended = subprocess.run([sys.executable, str(script)], cwd=tmp_path, timeout=90, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGKILL, "", "")
    for name in ("a", "a.child", "a.fork"):
        assert tasks.is_released(tmp_path / name, seconds=20), f"{name} outlived its coordinator"


def small_study(epochs):
    """Three archs, whoever is done first."""
    listed = (tiny_arch(), tiny_arch(stages=tiny_arch().stages[:1]))
    return tiny_study(
        space=None,
        trials=3,
        engine=Proposer(name="listed", archs=listed),
        data=Data(source="digits", image_size=8, channels=1, num_classes=10, train_share=0.3),
        recipe=Recipe(epochs=epochs, batch_size=32, learning_rate=0.01),
        resources={"CPU": 1},
    )


@pytest.fixture
def start(tmp_path):
    """Starts searches of study.toml, which are killed at the end if need be."""
    with contextlib.ExitStack() as stack:

        def start(folder, *options):
            code = "from fvsearch.cli import main; main()"
            command = [sys.executable, "-c", code, "run", "study.toml", "--out", str(folder), "--workers", "2", *options]
            said = stack.enter_context((tmp_path / f"{folder.name}.txt").open("a"))
            process = stack.enter_context(subprocess.Popen(command, cwd=tmp_path, stdout=said, stderr=said))
            stack.callback(process.kill)
            return process

        yield start


def wait_for(what, process, seconds=90.0):
    """What comes of asking, as soon as something does, while the process lives."""
    limit = time.monotonic() + seconds
    while not (found := what()):
        assert process.poll() is None, "it ended"
        assert time.monotonic() < limit, "nothing came"
        time.sleep(0.05)
    return found


def training_hosts(folder):
    """The actors' processes whose workers train in the study's folder."""
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if "ray::Host" in process.info["name"] and any(
                file.path.startswith(f"{folder}/trials") for child in process.children() for file in child.open_files()
            ):
                found.append(process)
    return found


@pytest.mark.slow
def test_a_study_on_ray_whose_coordinator_and_workers_are_killed_finds_what_a_local_one_finds(cluster, start, tmp_path):
    (tmp_path / "study.toml").write_text(to_toml(small_study(epochs=20)))
    far = tmp_path / "far"
    options = ("--pool", "ray", "--ray-address", cluster.address)
    first = start(far, *options)
    (host, *_) = wait_for(lambda: training_hosts(far), first)
    workers = host.children()
    wait_for(lambda: list(far.glob("trials/*/*/metrics.jsonl")), first)
    first.kill()
    _, alive = psutil.wait_procs([host, *workers], timeout=20)
    assert not alive
    second = start(far, *options)
    for host in wait_for(lambda: training_hosts(far), second):
        host.kill()
    assert second.wait(timeout=180) == 0, (tmp_path / "far.txt").read_text()
    assert not training_hosts(far)
    said = (tmp_path / "far.txt").read_text()
    assert "raylet" not in said and "Worker" not in said
    # The same trainings in a local pool as wide.
    ended = [msgspec.json.decode(path.read_bytes(), type=Ended) for path in sorted(far.glob("trials/*/repeat0/result.json"))]
    alike = [msgspec.structs.replace(one.segment, folder=str(tmp_path / "local" / str(number))) for number, one in enumerate(ended)]
    with closing(make_pool("local", 2, environment={"KERAS_BACKEND": "jax"})) as pool:
        results = [future.result(timeout=120) for future in [pool.submit(run_segment, segment) for segment in alike]]
    trials = Ledger.open(far).trials()
    assert [trial.state for trial in trials] == ["completed"] * len(results) == ["completed"] * 3
    for trial, here in zip(trials, results, strict=True):
        assert learned(trial.repeats[0].epochs) == learned(msgspec.to_builtins(here.epochs))
        assert trial.measured == here.measured
        assert trial.values == {"top1": here.epochs[-1].top1, "memory": here.measured["memory"]}


def learned(epochs):
    """What training finds, of each epoch; how long it took is another matter."""
    assert len(epochs) == 20
    return [{name: value for name, value in epoch.items() if name not in ("seconds", "waited")} for epoch in epochs]

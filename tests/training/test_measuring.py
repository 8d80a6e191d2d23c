import pickle
import subprocess
import sys
from collections.abc import Callable

import keras
import msgspec
import pytest
from metered import RECIPE, SHAPE, arch

from fvsearch.costs.formula import predict
from fvsearch.errors import ConfigError, RunError
from fvsearch.study.budgets import Phase
from fvsearch.training import measuring
from fvsearch.training.measuring import Activity, Interval, MeasureRequest, group_archs, measure_anchor, measure_memory, measure_throughputs

SMALL, LARGE = arch((1, 1)), arch((3, 1), width=64)


def request(*archs: object, phase: Phase = "training", time_budget: float = 1.0) -> MeasureRequest:
    return MeasureRequest(
        archs=archs, image_shape=SHAPE, num_classes=10, recipe=RECIPE, batch_size=16, phase=phase, time_budget=time_budget
    )


@pytest.fixture(autouse=True)
def _own_lock(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize("phase", ["training", "inference"])
def test_each_arch_is_answered_in_the_order_asked(phase: Phase) -> None:
    asked = request(LARGE, SMALL, phase=phase, time_budget=0.2)
    measured = pickle.loads(pickle.dumps(measure_throughputs(pickle.loads(pickle.dumps(asked)))))
    large, small = measured.throughput
    assert 0 < large.low <= large.median <= large.high
    assert 0 < small.low <= small.median <= small.high
    assert measured.memory[0].bytes > measured.memory[1].bytes
    assert measured.ratio[0] == Interval(median=1.0, low=1.0, high=1.0)
    assert 0 < measured.ratio[1].low <= measured.ratio[1].median <= measured.ratio[1].high
    assert measured.backend == keras.backend.backend()
    assert measured.device
    assert keras.backend.backend() in measured.versions
    assert {"wait", "build", "compile", "measure"} <= measured.seconds.keys()
    assert measured.seconds["compile"] > 0
    assert measured.seconds["measure"] > 0


def test_the_anchor_is_the_first_arch_alone() -> None:
    anchor = measure_anchor(request(SMALL, phase="inference", time_budget=0.2))
    assert anchor.throughput > 0
    assert anchor.memory > 4 * predict(SMALL, image_shape=SHAPE, num_classes=10, batch_size=1).num_params
    assert keras.backend.backend() in anchor.memory_source
    assert anchor.seconds > 0
    assert anchor.backend == keras.backend.backend()
    assert anchor.backend in anchor.versions


def test_memory_alone_is_that_of_the_whole_measurement() -> None:
    asked = request(SMALL, LARGE, phase="inference", time_budget=0.1)
    assert measure_memory(asked) == measure_throughputs(asked).memory


def test_archs_are_grouped_few_at_a_time_so_that_their_weights_fit_beside_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    one = predict(SMALL, image_shape=SHAPE, num_classes=10, batch_size=1).weight_memory
    many = request(*[SMALL] * 6)
    monkeypatch.setattr(measuring, "RESIDENT_BYTES", 3 * one)
    assert group_archs(many) == [[0, 1, 2], [0, 3, 4], [0, 5]]
    monkeypatch.setattr(measuring, "RESIDENT_BYTES", one)
    assert group_archs(many) == [[0, 1], [0, 2], [0, 3], [0, 4], [0, 5]]
    monkeypatch.setattr(measuring, "RESIDENT_BYTES", 100 * one)
    assert group_archs(many) == [[0, 1, 2, 3, 4], [0, 5]]
    assert group_archs(request(SMALL)) == [[0]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Measuring without models, one arch a group beside the reference; the machine slows down. Holds the groups' sizes."""
    monkeypatch.setattr(measuring, "GROUP_SIZE", 1)
    groups: list[int] = []

    def timed(runners, time_budget):
        groups.append(len(runners))
        return [[len(groups) * (1.0 + place)] * 6 for place in range(len(runners))]

    def ready(self, index):
        return measuring._Ready(lambda steps: None, measuring.StepMemory(bytes=self.request.archs[index].depth, source=""), {"build": 1.0})

    monkeypatch.setattr(measuring, "time_interleaved", timed)
    monkeypatch.setattr(measuring._Measuring, "_ready", ready)
    return groups


def test_groups_are_measured_one_after_the_other_and_ratios_are_of_one_group(scripted: list[int]) -> None:
    measured = measure_throughputs(request(arch((1, 1)), arch((2, 1)), arch((3, 1))))
    assert scripted == [2, 2]
    assert [memory.bytes for memory in measured.memory] == [1, 2, 3]
    assert [interval.median for interval in measured.throughput] == [pytest.approx((16 / 1 + 16 / 2) / 2), 16 / 2, 16 / 4]
    assert [interval.median for interval in measured.ratio] == [1.0, 0.5, 0.5]


def test_an_arch_is_told_as_soon_as_its_group_is_done(scripted: list[int]) -> None:
    told: list[tuple[int, int]] = []
    asked = request(arch((1, 1)), arch((2, 1)), arch((3, 1)))
    measured = measure_throughputs(asked, on_measured=lambda found: told.append((found.index, len(scripted))))
    assert told == [(0, 1), (1, 1), (2, 2)]
    heard: list[Activity] = []
    assert measure_throughputs(asked, on_activity=heard.append).ratio == measured.ratio
    assert [activity.kind for activity in heard] == ["measure", "measure"], "the backend runs already"


def test_an_arch_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(request, arch):
        raise MemoryError

    monkeypatch.setattr(measuring, "_build", no_memory)
    with pytest.raises(RunError, match=r"B1\(17, h16, m32, a2\) cannot be measured at batch_size=16: the device's memory ran out"):
        measure_throughputs(request(SMALL))


def test_no_archs_are_refused() -> None:
    with pytest.raises(ConfigError, match="`archs` must hold at least one arch"):
        request()


def test_a_request_reads_back_from_json() -> None:
    asked = request(SMALL, LARGE)
    assert msgspec.json.decode(msgspec.json.encode(asked), type=MeasureRequest) == asked


def test_importing_the_request_loads_no_keras() -> None:
    code = "import sys, fvsearch.training.measuring; print({'keras', 'numpy', 'jax', 'torch', 'tensorflow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_images_are_counted_over_whole_optimizer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four steps of the device the last is the dearest: a turn takes all four, in inference one."""
    in_parts = msgspec.structs.replace(RECIPE, accumulate=4)
    steps: list[int] = []

    class Counting:
        def make_runner(self, *arguments: object) -> object:
            return steps.append

    monkeypatch.setattr("fvsearch.meters.backend.meter", Counting)

    def turn(runners: list[Callable[[int], None]], time_budget: float) -> list[list[float]]:
        runners[0](3)
        return [[0.5] * 6]

    monkeypatch.setattr(measuring, "time_interleaved", turn)
    for phase, parts in (("training", 4), ("inference", 1)):
        asked = msgspec.structs.replace(request(SMALL, phase=phase), recipe=in_parts)
        assert measure_throughputs(asked).throughput[0].median == 16 * parts / 0.5
        assert steps == [parts, 3 * parts]
        steps.clear()

"""Energy from counters that the tests turn: a driver that tells what they say, a file tree like RAPL's."""

import pytest
from fake_nvml import FakeNvml
from trainings import ARCH, EXAMPLES, RECIPE, segment_in

from fvsearch.meters.measured import MeasureRequest
from fvsearch.training import energy
from fvsearch.training.energy import EnergyMeter, add_joules, counters, cpu_domains
from fvsearch.training.measuring import measure_anchor
from fvsearch.training.segment import run_segment


@pytest.fixture
def rapl(tmp_path):
    """RAPL of two processors, with a part of one and the whole platform beside them."""
    for folder, name in (("0", "package-0"), ("0:0", "core"), ("1", "package-1"), ("2", "psys")):
        domain = tmp_path / f"intel-rapl:{folder}"
        domain.mkdir()
        (domain / "name").write_text(f"{name}\n")
        (domain / "max_energy_range_uj").write_text("262143328850\n")
        (domain / "energy_uj").write_text("1000000\n")
    (tmp_path / "intel-rapl").mkdir()
    return tmp_path


@pytest.fixture
def times(monkeypatch):
    """Seconds that this process, and the whole machine, have been busy."""
    found = {"own": 10.0, "busy": 100.0}
    monkeypatch.setattr(energy, "_own_seconds", lambda: found["own"])
    monkeypatch.setattr(energy, "busy_seconds", lambda: found["busy"])
    return found


def turn(rapl, **joules):
    """Let processors take energy."""
    for name, taken in joules.items():
        path = rapl / f"intel-rapl:{name.removeprefix('cpu')}" / "energy_uj"
        path.write_text(f"{int(path.read_text()) + round(taken * 1e6)}\n")


def test_where_nothing_tells_nothing_is_told(tmp_path):
    with EnergyMeter(counters(1, {}, tmp_path)) as meter:
        assert meter.joules() == {}


def test_a_gpu_tells_what_it_took_meanwhile(monkeypatch, tmp_path):
    nvml = FakeNvml(4).install(monkeypatch)
    with EnergyMeter(counters(1, {"CUDA_VISIBLE_DEVICES": "2"}, tmp_path)) as meter:
        nvml.millijoules[:] = [9_000_000, 9_000_000, 1_250_000, 9_000_000]
        assert meter.joules() == {"gpu": 250.0}


def test_of_several_gpus_the_sum_and_of_a_shared_one_its_part(monkeypatch, tmp_path):
    nvml = FakeNvml(2).install(monkeypatch)
    both = counters(2, {}, tmp_path)["gpu"]
    shared = counters(1, {"FVSEARCH_WORKERS_ON_GPU": "4"}, tmp_path)["gpu"]
    before = both.joules(), shared.joules()
    nvml.millijoules[:] = [1_400_000, 1_100_000]
    assert (both.joules() - before[0], shared.joules() - before[1]) == (500.0, 100.0)


def test_a_gpu_that_does_not_tell_or_is_not_used_is_left_out(monkeypatch, tmp_path):
    nvml = FakeNvml(1).install(monkeypatch)
    assert counters(0, {}, tmp_path) == {}
    nvml.millijoules[0] = None
    assert counters(1, {}, tmp_path) == {}


def test_what_ceases_to_tell_is_left_out_altogether(monkeypatch, tmp_path):
    nvml = FakeNvml(1).install(monkeypatch)
    with EnergyMeter(counters(1, {}, tmp_path)) as meter:
        nvml.millijoules[0] = None
        assert meter.joules() == {}
        nvml.millijoules[0] = 5_000_000
        assert meter.joules() == {}


def test_processors_are_shared_out_by_time(rapl, times):
    assert [domain.name for domain in cpu_domains(rapl)] == ["intel-rapl:0", "intel-rapl:1"]
    with EnergyMeter(counters(0, {}, rapl)) as meter:
        turn(rapl, cpu0=60.0, cpu1=40.0, **{"cpu0:0": 50.0, "cpu2": 500.0})
        times |= {"own": 13.0, "busy": 104.0}
        assert meter.joules() == {"cpu": pytest.approx(75.0)}
        turn(rapl, cpu0=10.0)
        times |= {"own": 13.0, "busy": 105.0}
        assert meter.joules() == {"cpu": pytest.approx(75.0)}, "another process was busy"


def test_a_counter_that_begins_anew_is_followed(rapl, times):
    (rapl / "intel-rapl:0" / "energy_uj").write_text("262143000000")
    with EnergyMeter(counters(0, {}, rapl)) as meter:
        (rapl / "intel-rapl:0" / "energy_uj").write_text("1671150")
        times |= {"own": 11.0, "busy": 101.0}
        assert meter.joules() == {"cpu": pytest.approx(2.0)}


def test_counters_are_read_now_and_then_before_they_begin_anew_twice(rapl, times, monkeypatch):
    monkeypatch.setattr(energy, "SAMPLE_SECONDS", 0.01)
    read = []
    monkeypatch.setattr(energy, "_own_seconds", lambda: read.append(0) or 0.0)
    with EnergyMeter(counters(0, {}, rapl)):
        limit = 200
        while len(read) < 10 and (limit := limit - 1):
            energy.threading.Event().wait(0.01)
    assert len(read) >= 10


def test_the_busy_time_of_a_machine_is_that_of_all_its_processes():
    before = energy.busy_seconds(), energy._own_seconds()
    while energy._own_seconds() - before[1] < 0.2:
        pass
    assert energy.busy_seconds() - before[0] > 0.1


def test_a_domain_that_cannot_be_read_is_left_out(rapl):
    (rapl / "intel-rapl:0" / "energy_uj").unlink()
    assert [domain.name for domain in cpu_domains(rapl)] == ["intel-rapl:1"]


def test_joules_add_up_by_what_they_are_of():
    assert add_joules({}, {"cpu": 1.0}, {"gpu": 2.0, "cpu": 3.0}) == {"cpu": 4.0, "gpu": 2.0}


class Rising:
    """A counter that is a joule higher each time."""

    read = 0.0

    def joules(self):
        self.read += 1.0
        return self.read


def test_a_training_and_a_measurement_tell_what_they_took(monkeypatch, tmp_path):
    asked = []

    def meter(count, is_cpu):
        asked.append((count, is_cpu))
        return EnergyMeter({"cpu": Rising()})

    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr("fvsearch.training.work.device_energy", meter)
    monkeypatch.setattr("fvsearch.training.measuring.device_energy", meter)
    segment = segment_in(tmp_path / "training", to_epoch=1)
    result = run_segment(segment)
    assert result.joules == {"cpu": 1.0}
    assert run_segment(segment).joules == {"cpu": 1.0}, "answered from disk"
    request = MeasureRequest(
        archs=(ARCH,), image_shape=(8, 8, 1), num_classes=3, recipe=RECIPE, batch_size=8, phase="inference", time_budget=0.1
    )
    assert measure_anchor(request).joules == {"cpu": 1.0}
    assert asked[0] == (1, result.device == "cpu")

"""The whole way from a study to a calibration, with a worker that makes its measurements up."""

import concurrent.futures
import contextlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from calibrated import MACHINE, STUDY, measured

from fvsearch import calibrating
from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout
from fvsearch.calibrating import CalibrationSettings, calibrate
from fvsearch.calibrating import measure as measuring
from fvsearch.calibrating.machine import this_machine
from fvsearch.calibrating.sample import designed_sample
from fvsearch.calibrating.store import load_calibration
from fvsearch.errors import ConfigError, LockedError, RunError
from fvsearch.files import locked_folder
from fvsearch.meters.measured import Activity, Interval, Measured, MeasuredArch, MeasureRequest, StepMemory
from fvsearch.pools import WorkerDied, make_pool
from fvsearch.study import Proposer, Study

BACKEND = os.environ["KERAS_BACKEND"]
SAMPLE = designed_sample(STUDY, 12)


def listed(*archs: Arch) -> Study:
    """Those archs, the first the baseline."""
    return STUDY.with_settings(space=None, baseline=archs[0], engine=Proposer(name="listed", archs=archs))


class Device:
    """Answers as `measure_throughputs` would.

    Args:
        fails: What goes wrong while an arch is compiled, by its index in the sample.
        half_width: Of the intervals.
        sample: That indices count.
    """

    def __init__(self, fails: dict[int, BaseException] | None = None, half_width: float = 0.01, sample: Sequence[Arch] = SAMPLE) -> None:
        self.sample = sample
        self.fails = fails or {}
        self.half_width = half_width
        self.machine = MACHINE
        self.compiled: list[int] = []

    def measure(
        self, request: MeasureRequest, on_measured: Callable[[MeasuredArch], None], on_activity: Callable[[Activity], None]
    ) -> Measured | None:
        on_activity(Activity("start"))
        for index, found in enumerate(measured(request.archs, half_width=self.half_width)):
            number = self.sample.index(found.arch)
            on_activity(Activity("compile", f"{format_layout(found.arch, 8)}, training"))
            if number in self.fails:
                raise self.fails[number]
            self.compiled.append(number)
            throughput = Interval(median=found.throughput, low=found.throughput, high=found.throughput)
            ratio = Interval(median=found.ratio, low=found.ratio_low, high=found.ratio_high)
            memory = StepMemory(bytes=found.memory, source="made up")
            on_measured(MeasuredArch(index=index, throughput=throughput, ratio=ratio, memory=memory, seconds={}))
        return None


class ScriptedPool:
    """Runs what is submitted at once, on the device."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def submit(self, task: Callable[[Any], Any], argument: Any) -> "concurrent.futures.Future[Any]":
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(self.device.machine if task is measuring.describe_machine else task(argument))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self, cancel: bool = False) -> None:
        pass


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., calibrating.Calibrated]:
    def call(
        device: Device, on_progress: Any = lambda done, total, activity: None, study: Study = STUDY, **settings: Any
    ) -> calibrating.Calibrated:
        monkeypatch.setattr(calibrating, "make_pool", lambda *arguments, **options: ScriptedPool(device))
        monkeypatch.setattr(measuring, "measure_throughputs", device.measure)
        how = CalibrationSettings(**({"backend": "jax", "archs": 12, "out": tmp_path / "here" / "calibration.json"} | settings))
        return calibrate(study, how, on_progress)

    return call


def test_the_sample_is_measured_once_fitted_and_kept(run: Callable[..., Any], tmp_path: Path) -> None:
    device = Device()
    found = run(device)
    assert device.compiled == [*range(9), 0, 9, 10, 11], "a few archs in each process, each beside the baseline"
    assert [sampled.arch for sampled in found.calibration.sample] == list(SAMPLE)
    assert found.measured
    assert load_calibration(Path(found.path)) == found.calibration
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["calibration.json"], "the draft is gone"


def test_without_a_file_it_is_kept_by_device_backend_and_conditions(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FVSEARCH_CALIBRATIONS", str(tmp_path / "kept"))
    path = Path(run(Device(), out=None).path)
    assert path.parent == tmp_path / "kept"
    assert re.fullmatch(r"none-jax-[0-9a-f]{12}\.json", path.name)


def test_an_interrupted_calibration_goes_on_and_measures_nothing_twice(run: Callable[..., Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Device(fails={7: KeyboardInterrupt()}))
    device = Device()
    found = run(device)
    assert device.compiled == [0, 7, 8, 9, 10, 11], "the baseline again, beside which the others are measured"
    assert [sampled.arch for sampled in found.calibration.sample] == list(SAMPLE)
    assert found.calibration.step_time.error.worst < 1e-3


def test_one_that_was_killed_between_measuring_and_keeping_only_fits(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrating, "fit_calibration", killed)
    with pytest.raises(KeyboardInterrupt):
        run(Device())
    monkeypatch.undo()
    device = Device()
    run(device)
    assert device.compiled == []


def test_what_an_interrupted_one_measured_under_other_versions_is_measured_again(run: Callable[..., Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Device(fails={7: KeyboardInterrupt()}))
    device = Device()
    device.machine = msgspec.structs.replace(MACHINE, versions=MACHINE.versions | {"jax": "9"})
    assert run(device).calibration.machine.versions["jax"] == "9"
    assert set(device.compiled) == set(range(12))


def test_what_is_kept_is_not_measured_again_unless_asked_for_or_stale(run: Callable[..., Any]) -> None:
    first = run(Device())
    again = run(Device(fails={0: AssertionError()}))
    assert (again.calibration, again.measured) == (first.calibration, False)
    for device, settings in ((Device(), {"again": True}), (Device(), {"archs": 11}), (Device(), {})):
        device.machine = msgspec.structs.replace(MACHINE, device="other") if not settings else MACHINE
        assert run(device, **settings).measured
        assert len(set(device.compiled)) == settings.get("archs", 12)


@pytest.mark.parametrize(
    "error", [RunError("B2(17) cannot be measured at batch_size=64: the device's memory ran out"), WorkerDied("killed by signal 9")]
)
def test_an_arch_that_cannot_be_measured_is_skipped_with_its_reason(run: Callable[..., Any], error: Exception) -> None:
    device = Device(fails={4: error, 9: error})
    found = run(device).calibration
    assert [sampled.arch for sampled in found.sample] == [arch for index, arch in enumerate(SAMPLE) if index not in (4, 9)]
    assert [(skipped.arch, skipped.reason) for skipped in found.skipped] == [(SAMPLE[4], str(error)), (SAMPLE[9], str(error))]
    assert [number for number in device.compiled if number] == [1, 2, 3, 5, 6, 7, 8, 10, 11]


def test_a_baseline_that_cannot_be_measured_is_an_error(run: Callable[..., Any]) -> None:
    with pytest.raises(RunError, match="the device's memory ran out"):
        run(Device(fails={0: RunError("B2(17) cannot be measured: the device's memory ran out")}))


def test_an_arch_that_fails_for_another_reason_is_an_error_and_no_gap_in_the_sample(run: Callable[..., Any]) -> None:
    with pytest.raises(RunError, match="TokenPooling"):
        run(Device(fails={4: RunError("B2(17) cannot be measured at batch_size=64: RuntimeError: TokenPooling.call()")}))


def test_wide_intervals_are_measured_once_more_and_no_more(run: Callable[..., Any]) -> None:
    device = Device(half_width=0.1)
    run(device)
    assert [number for number in device.compiled if number] == [*range(1, 12), *range(1, 12)]


def test_progress_is_told(run: Callable[..., Any]) -> None:
    told: list[tuple[int, int, str]] = []
    run(Device(), on_progress=lambda done, total, activity: told.append((done, total, activity.kind)))
    assert told[0] == (0, 12, "start")
    assert told[-1] == (12, 12, "compile")
    told.clear()
    run(Device(), study=listed(*SAMPLE[:6]), on_progress=lambda done, total, activity: told.append((done, total, activity.kind)))
    assert {total for _, total, _ in told} == {6}, "a list that is shorter than what was asked for"


def test_what_failed_for_want_of_archs_is_measured_anew_by_the_next_call(run: Callable[..., Any], tmp_path: Path) -> None:
    no_memory = RunError("B2(17) cannot be measured at batch_size=64: the device's memory ran out")
    with pytest.raises(RunError, match="at least 5 measured archs, but 4 were measured and 8 skipped"):
        run(Device(fails=dict.fromkeys(range(4, 12), no_memory)))
    assert list((tmp_path / "here").iterdir()) == []
    assert len(run(Device()).calibration.sample) == 12


def test_again_measures_anew_what_an_interrupted_one_left_too(run: Callable[..., Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Device(fails={7: KeyboardInterrupt()}))
    device = Device()
    run(device, again=True)
    assert set(device.compiled) == set(range(12))


def test_a_file_that_holds_something_else_is_left_alone(run: Callable[..., Any], tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("dear diary", encoding="utf-8")
    device = Device()
    for settings in ({}, {"again": True}):
        with pytest.raises(ConfigError, match=r"notes\.txt holds something else .*; give another file"):
            run(device, out=notes, **settings)
    assert notes.read_text(encoding="utf-8") == "dear diary"
    assert device.compiled == []


def test_a_study_of_too_few_archs_is_refused_before_a_worker_starts(run: Callable[..., Any]) -> None:
    for archs in (SAMPLE[:1], SAMPLE[:4]):
        with pytest.raises(ConfigError, match=f"a calibration needs at least 5 archs, but quickstart has {len(archs)}"):
            run(Device(), study=listed(*archs), on_progress=lambda done, total, activity: pytest.fail("begun"))


def test_of_archs_that_are_called_the_same_the_one_that_failed_is_skipped(run: Callable[..., Any]) -> None:
    twins = [msgspec.structs.replace(arch, activation="relu") for arch in SAMPLE[4:6]]
    study = listed(*SAMPLE[:6], *twins)
    sample = designed_sample(study, 8)
    assert set(twins) < set(sample)
    for arch in (SAMPLE[4], twins[0]):
        device = Device(fails={sample.index(arch): RunError("the device's memory ran out")}, sample=sample)
        found = run(device, study=study, again=True).calibration
        assert [skipped.arch for skipped in found.skipped] == [arch]
        assert len(found.sample) == 7


def test_two_at_a_time_are_refused(run: Callable[..., Any], tmp_path: Path) -> None:
    with locked_folder(tmp_path / "here" / "calibration.draft"), pytest.raises(LockedError, match="another process of fvsearch"):
        run(Device())


def test_too_few_archs_or_no_time_are_refused() -> None:
    with pytest.raises(ConfigError, match="`archs` must be at least 5, but got 4"):
        CalibrationSettings(backend="jax", archs=4)
    with pytest.raises(ConfigError, match="`seconds` must be above 0, but got 0"):
        CalibrationSettings(backend="jax", seconds=0.0)


def test_a_worker_describes_the_machine_that_a_coordinator_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"fvsearch": "4", "keras": "1", "jax": "3"}
    monkeypatch.setattr("fvsearch.training.device.device_name", lambda: "cpu")
    monkeypatch.setattr("fvsearch.training.device.versions", lambda: versions | {"numpy": "2"})
    assert measuring.describe_machine("jax") == this_machine("cpu", "jax", versions)
    with contextlib.closing(make_pool("local", 1, environment={"KERAS_BACKEND": BACKEND})) as pool:
        found = pool.submit(measuring.describe_machine, BACKEND).result()
    assert found == this_machine(found.device, BACKEND, found.versions)

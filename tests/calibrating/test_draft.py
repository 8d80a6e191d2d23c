from pathlib import Path

import msgspec
import pytest
from calibrated import CONDITIONS, MACHINE, STUDY, measured

from fvsearch.calibrating.draft import Draft, Header, append_durably
from fvsearch.calibrating.sample import designed_sample
from fvsearch.costs.calibration import Skipped

SAMPLE = measured(designed_sample(STUDY, 6))
HEADER = Header(conditions=CONDITIONS, machine=MACHINE, seconds=1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    draft = Draft(tmp_path / "sample.jsonl", HEADER)
    for sampled in SAMPLE[:3]:
        append_durably(draft.path, sampled)
    return draft.path


def held(path: Path, header: Header = HEADER) -> list[object]:
    return list(Draft(path, header).entries.values())


def test_a_draft_is_gone_on_with_under_the_same_header(path: Path) -> None:
    assert held(path) == SAMPLE[:3]


@pytest.mark.parametrize(
    "header",
    [
        msgspec.structs.replace(HEADER, seconds=2.0),
        msgspec.structs.replace(HEADER, machine=msgspec.structs.replace(MACHINE, versions={"jax": "4"})),
        msgspec.structs.replace(HEADER, conditions=msgspec.structs.replace(CONDITIONS, batch_size=7)),
    ],
    ids=["seconds", "versions", "batch"],
)
def test_under_another_header_it_begins_anew(path: Path, header: Header) -> None:
    assert held(path, header) == []


def test_a_line_that_a_kill_cut_off_is_lost_alone(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])
    assert held(path) == SAMPLE[:2]
    append_durably(path, SAMPLE[4])
    assert held(path) == [*SAMPLE[:2], SAMPLE[4]]


def test_a_file_that_is_no_draft_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "sample.jsonl"
    path.write_bytes(b"\x00garbage")
    assert held(path) == []


def test_of_an_arch_measured_twice_the_narrower_interval_holds(path: Path) -> None:
    narrow = msgspec.structs.replace(SAMPLE[1], ratio_low=SAMPLE[1].ratio * 0.999, ratio_high=SAMPLE[1].ratio * 1.001)
    for other in (narrow, SAMPLE[1]):
        append_durably(path, other)
    draft = Draft(path, HEADER)
    assert draft.entries[narrow.arch.arch_hash] == narrow
    assert draft.readings[narrow.arch.arch_hash] == 3


def test_an_arch_once_measured_is_not_lost_to_a_failure_when_it_is_measured_again(path: Path) -> None:
    append_durably(path, Skipped(arch=SAMPLE[1].arch, layout="", reason="the device's memory ran out"))
    assert held(path) == SAMPLE[:3]
    skipped = Skipped(arch=SAMPLE[5].arch, layout="", reason="the device's memory ran out")
    append_durably(path, skipped)
    assert held(path)[-1] == skipped

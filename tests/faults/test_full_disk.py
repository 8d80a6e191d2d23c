"""A full disk, in the middle of a checkpoint and of the ledger: no trial is given up for it, and with room the search goes on."""

import shutil
import subprocess
import sys
from pathlib import Path

import pretend
import pytest
from storms import require_nobody, require_whole

FULL = ("must have room, but there is none", "No space left on device", "disk is full")

IN_A_SMALL_DISK = (
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o size=12m none . && cd "$PWD" && exec "$@"',
    "sh",
)


def can_mount(folder: Path) -> bool:
    """Whether this system lets a process have a disk of its own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*IN_A_SMALL_DISK, "true"], cwd=folder, capture_output=True).returncode == 0


def fvsearch(*arguments: str, here: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(pretend.command(*arguments), cwd=here, env=pretend.environment(), capture_output=True, text=True, timeout=60)


def require_sentence(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 1, run.stdout + run.stderr
    last = run.stderr.splitlines()[-1]
    assert last.startswith("error: ") and any(words in last for words in FULL), run.stderr
    assert "Traceback" not in run.stderr


def fill(here: Path, left: int) -> Path:
    """A file that takes all the room there is but so many bytes."""
    ballast = here / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - left))
    return ballast


def search_on_a_disk_that_fills(here: Path) -> None:
    """What is done on the small disk, where the folder is its root."""
    run = ("run", *pretend.SMALL, "--out", "out", "--workers", "2", "--trials")
    first = fvsearch(*run, "3", here=here)
    assert first.returncode == 0, first.stderr
    ballast = fill(here, 100_000)
    require_sentence(fvsearch(*run, "6", here=here))  # half a checkpoint
    require_nobody(here)
    assert not list(here.rglob("*.draft")), "what could not be finished gives its room back"
    for left in (16_384, 0):
        fill(here, left)
        require_sentence(fvsearch(*run, "6", here=here))  # room for no more of the ledger, and for nothing
        require_nobody(here)
    status = fvsearch("status", "out", here=here)
    assert status.returncode == 0 and "3 of 6 ended" in status.stdout, status.stdout + status.stderr
    ballast.unlink()
    last = fvsearch(*run, "6", here=here)
    assert last.returncode == 0, last.stderr
    assert require_whole(here / "out", 6) == {"completed": 6}


@pytest.mark.slow
def test_a_search_whose_disk_is_full_stops_with_a_sentence_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("this system lets no process have a disk of its own")
    code = "import sys; from pathlib import Path; import test_full_disk; test_full_disk.search_on_a_disk_that_fills(Path.cwd())"
    ended = subprocess.run(
        [*IN_A_SMALL_DISK, sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); {code}"],
        cwd=tmp_path,
        env=pretend.environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fvsearch.errors import ConfigError, LockedError
from fvsearch.files import locked_folder, no_room, write_atomically


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_that_has_no_room_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "file", b"one")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(full))
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(tmp_path / "file", b"two")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"one"]
    sentence = "what is written must have room, but there is none (No space left on device: "
    assert str(no_room(caught.value)).startswith(f"{sentence}{tmp_path}/.file.draft); make room, and the same command goes on")
    assert no_room(PermissionError(errno.EACCES, "no")) is None and no_room(ValueError("disk")) is None


def test_a_folder_has_one_owner_and_its_death_frees_it(tmp_path: Path) -> None:
    imports = "from pathlib import Path; from fvsearch.files import locked_folder"
    code = f"{imports}\nwith locked_folder(Path({str(tmp_path)!r})): print('own', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "own\n"
        with pytest.raises(LockedError, match="another process of fvsearch works in"), locked_folder(tmp_path, patience=0.0):
            pass
        owner.kill()
    with locked_folder(tmp_path, patience=5.0):
        pass


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write to .*; give another folder with --out"), locked_folder(tmp_path / "file"):
        pass

import subprocess
import sys
from pathlib import Path

import pytest

from fvsearch.errors import ConfigError, LockedError
from fvsearch.files import locked_folder, write_atomically


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


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

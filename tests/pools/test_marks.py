import subprocess
import sys

import msgspec

from fvsearch.pools._marks import leave_mark
from fvsearch.processes import ProcessName

LEAVE = "import os, sys, pathlib; from fvsearch.pools._marks import leave_mark; leave_mark(pathlib.Path(sys.argv[1])); os._exit(9)"


def test_a_mark_goes_whose_process_is_gone_and_no_other(tmp_path):
    assert subprocess.run([sys.executable, "-c", LEAVE, str(tmp_path)], timeout=60).returncode == 9
    (left,) = tmp_path.iterdir()
    far = tmp_path / ".ray-far"
    far.write_bytes(msgspec.json.encode(msgspec.structs.replace(ProcessName.here(), host="another", number=2**22 + 1)))
    unread = tmp_path / ".ray-unread"
    unread.touch()
    first, second = leave_mark(tmp_path), leave_mark(tmp_path)
    assert not left.exists()
    assert set(tmp_path.iterdir()) == {far, unread, first, second}

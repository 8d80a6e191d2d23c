"""A ledger that another process has locked: the search waits for it, and nothing is lost."""

import contextlib
import sqlite3
import subprocess
import time
from pathlib import Path

import pretend
import pytest
from storms import require_whole, wait_until


@pytest.mark.slow
def test_a_search_waits_while_another_process_holds_its_ledger(tmp_path: Path) -> None:
    command = pretend.command("run", *pretend.SMALL, "--out", "out", "--workers", "2", "--trials", "6")
    ledger = tmp_path / "out" / "ledger.db"
    with subprocess.Popen(
        command, cwd=tmp_path, env=pretend.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as search:
        assert wait_until(lambda: list(tmp_path.glob("out/trials/*/*/metrics.jsonl")), 30)
        with contextlib.closing(sqlite3.connect(ledger, timeout=10, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            # Longer than SQLite's driver waits by itself.
            time.sleep(7)
            other.execute("ROLLBACK")
        said, _ = search.communicate(timeout=60)
    assert search.returncode == 0, said
    assert require_whole(tmp_path / "out", 6) == {"completed": 6}

"""The command line, in processes of its own."""

import subprocess
import sys
import time
from pathlib import Path

import psutil


def fvsearch(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = "from fvsearch.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=220)


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    code = "from fvsearch.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd)


def working_in(folder: Path) -> list[psutil.Process]:
    """Living processes whose working directory is the folder: coordinators and workers of a test."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return found


def workers_of(coordinator: subprocess.Popen[str]) -> list[psutil.Process]:
    """Its workers, without the two processes that tidy up after it."""
    children = psutil.Process(coordinator.pid).children()
    return [child for child in children if not any("resource_tracker" in argument for argument in child.cmdline())]


def wait_until(condition: object, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False

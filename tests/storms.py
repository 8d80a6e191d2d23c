"""Kills at random moments, and what must hold after them: for tests/faults and for the hour of `nox -s soak`."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from fvsearch.ledger import Ledger
from fvsearch.training.metrics import MetricsFile

GONE_SECONDS = 15.0
"""In which every process must be gone after its coordinator, and a coordinator after a signal that ends it."""

HEED_SECONDS = 5.0
"""After a signal in which a search may still come to its own end: it had all but done so when the signal came."""


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Whether it comes to hold within the seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def working_in(folder: Path) -> list[psutil.Process]:
    """Other living processes whose working directory is the folder: coordinators and workers, and what tidies up after them."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return found


def is_tracker(process: psutil.Process) -> bool:
    """Whether it is one of the two that tidy up after a coordinator."""
    try:
        return any("resource_tracker" in argument for argument in process.cmdline())
    except psutil.Error:
        return True


def require_nobody(folder: Path) -> None:
    """The law that no process is left of a search whose working directory is the folder."""
    assert wait_until(lambda: not working_in(folder), GONE_SECONDS), f"left over: {[process.cmdline() for process in working_in(folder)]}"


def require_whole(study: Path, trials: int) -> Counter[str]:
    """The laws of a search that came to its end, whatever happened: each trial recorded once, with its reason; how many of each state."""
    ledger = Ledger.open(study)
    records = ledger.trials()
    assert [record.number for record in records] == list(range(trials)), "as many trials as were asked for"
    assert len({record.arch_hash for record in records}) == trials, "no arch twice"
    for record in records:
        assert record.state in ("completed", "failed", "infeasible", "stopped"), f"trial {record.number} is {record.state}"
        assert record.reason or record.state in ("completed", "stopped"), f"trial {record.number} is {record.state} for no reason"
        written = MetricsFile(study / "trials" / f"{record.number:04d}" / "repeat0" / "metrics.jsonl").read()
        if record.state == "completed":
            assert len(record.repeats[0].epochs) == ledger.study.recipe.epochs
            assert [epoch["epoch"] for epoch in record.repeats[0].epochs] == [epoch.epoch for epoch in written]
    drafts = [path for path in study.rglob("*.draft*") if path.name != ".progress.json.draft"]
    assert drafts == [], "no file is half-written"
    return Counter(record.state for record in records)


class Storm:
    """Starts a search, and ends it or its workers at random moments, again and again.

    Args:
        command: That starts the search, or goes on with it; `--trials` is added.
        study: Folder of the study.
        here: Working directory, which no other process has.
        environment: Of the command.
        seed: Of moments and victims.
        longest: Seconds until the next blow, at most.

    Attributes:
        trials: Asked for; more of them whenever a search comes to its end before the blow.
        blows: How many of each kind.
        struck: The kinds of the latest start, in order.
    """

    def __init__(
        self, command: Sequence[str], study: Path, here: Path, environment: Mapping[str, str], seed: int, longest: float, trials: int = 6
    ) -> None:
        self.command, self.study, self.here, self.environment = command, study, here, environment
        self.random, self.longest, self.trials = random.Random(seed), longest, trials
        self.blows: Counter[str] = Counter()
        self.struck: list[str] = []
        self.log, self.printed = here / "storm.log", 0

    def start(self) -> "subprocess.Popen[bytes]":
        """The search, in a session of its own."""
        self.struck = []
        # What a shell starts in the background ignores Ctrl-C, and so would the search.
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        with self.log.open("ab") as log:
            self.printed = self.log.stat().st_size
            return subprocess.Popen(
                [*self.command, "--trials", str(self.trials)],
                cwd=self.here,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def round(self, kinds: Sequence[str] = ()) -> None:
        """One start of the search, and blows until it has ended; afterwards nothing of it is left."""
        process = self.start()
        try:
            while True:
                try:
                    code = process.wait(self.random.uniform(0, self.longest))
                except subprocess.TimeoutExpired:
                    kind = self.random.choice(list(kinds or BLOWS))
                    self.blows[kind] += 1
                    self.struck.append(kind)
                    if BLOWS[kind](self, process):
                        break
                else:
                    if not self._was_told_to_start_again(code):
                        assert code == 0, f"exit code {code}:\n{self.said()}"
                        self.trials += 3
                    break
        finally:
            process.kill()
            process.wait()
        require_nobody(self.here)

    def _was_told_to_start_again(self, code: int) -> bool:
        """Whether its worker was killed twice while the baseline was measured: that is an error, after which the same command goes on."""
        return code == 1 and self.struck.count("kill a worker") >= 2 and "cannot be measured: its worker died 2 times" in self.said()

    def finish(self) -> Counter[str]:
        """Let the search come to its end, and look whether all laws hold; how many trials there are of each state."""
        process = self.start()
        code = process.wait()
        assert code == 0, f"exit code {code}:\n{self.said()}"
        require_nobody(self.here)
        return require_whole(self.study, self.trials)

    def wait_gone(self, process: "subprocess.Popen[bytes]") -> int:
        """The exit code of a search that is to end; one that does not is asked where it stands."""
        try:
            return process.wait(GONE_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGUSR1)
            time.sleep(1)
            raise AssertionError(f"it goes on {GONE_SECONDS:g} s after {self.struck[-1]}:\n{self.said(90)}") from None

    def said(self, lines: int = 30) -> str:
        """The last lines that were printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def workers(self, process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
        """The living workers of a coordinator."""
        try:
            children = psutil.Process(process.pid).children()
        except psutil.NoSuchProcess:
            return []
        return [child for child in children if not is_tracker(child)]


def _coordinator(storm: Storm, process: "subprocess.Popen[bytes]") -> bool:
    process.kill()
    return True


def _worker(storm: Storm, process: "subprocess.Popen[bytes]") -> bool:
    """One worker, if there is one; the search goes on."""
    for victim in storm.random.sample(workers := storm.workers(process), min(1, len(workers))):
        _signal(victim, signal.SIGKILL)
    return False


def _both(storm: Storm, process: "subprocess.Popen[bytes]") -> bool:
    victims = [psutil.Process(process.pid), *storm.workers(process)]
    storm.random.shuffle(victims)
    for victim in victims:
        _signal(victim, signal.SIGKILL)
    return True


def _politely(number: signal.Signals) -> Callable[[Storm, "subprocess.Popen[bytes]"], bool]:
    """To the coordinator alone; it is gone soon, with the exit code that says so, or had just come to its end."""

    def blow(storm: Storm, process: "subprocess.Popen[bytes]") -> bool:
        up = storm.log.stat().st_size > storm.printed
        asked = time.monotonic()
        process.send_signal(number)
        code = storm.wait_gone(process)
        # Before the command line is up, and when all is done, it is Python's or the system's affair.
        done = b"next: " in storm.log.read_bytes()[storm.printed :]
        right = code == 128 + number or ((done or not up) and code in (1, -number))
        right = right or (done and code == 0 and time.monotonic() - asked < HEED_SECONDS)
        assert right, f"{number.name} gave exit code {code} after {time.monotonic() - asked:.1f} s:\n{storm.said()}"
        return True

    return blow


def _everyone(storm: Storm, process: "subprocess.Popen[bytes]") -> bool:
    """As a scheduler does: SIGTERM to every process, SIGKILL to who is left after a while."""
    for victim in (*storm.workers(process), psutil.Process(process.pid)):
        _signal(victim, signal.SIGTERM)
    storm.wait_gone(process)
    return True


def _sleep(storm: Storm, process: "subprocess.Popen[bytes]") -> bool:
    """As a laptop that is shut: all stand still, and go on."""
    everyone = [*storm.workers(process), psutil.Process(process.pid)]
    for one in everyone:
        _signal(one, signal.SIGSTOP)
    time.sleep(storm.random.uniform(0, 1))
    for one in everyone:
        _signal(one, signal.SIGCONT)
    return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)


BLOWS: dict[str, Callable[[Storm, "subprocess.Popen[bytes]"], bool]] = {
    "kill the coordinator": _coordinator,
    "kill a worker": _worker,
    "kill both": _both,
    "SIGTERM": _politely(signal.SIGTERM),
    "Ctrl-C": _politely(signal.SIGINT),
    "SIGTERM to all": _everyone,
    "sleep": _sleep,
}
"""By name: whether the search has ended by it."""

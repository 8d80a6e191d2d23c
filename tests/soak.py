"""Searches under a storm of kills until the time is up: `nox -s soak -- --minutes 60`.

By turns with real trainings and with pretended ones (pretend.py), which begin and end more often. Each search is struck at random moments,
then let come to its end; then all laws of storms.py must hold. A failure prints the seed and the blows and keeps the folder.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pretend
from storms import Storm

SMALL = [
    *("--set", "recipe.epochs=4", "--set", "recipe.warmup_epochs=0.5", "--set", "space.stages.0.depth=1"),
    *("--set", "space.stages.1.depth=1", "--set", "space.stages.2.depth=0", "--set", "baseline=B1(17, h48, m96, a3)-1(17, h48, m96, a3)"),
]
FVSEARCH = [sys.executable, "-c", f"{pretend.DUMP}; from fvsearch.cli import main; main()"]


def make_storm(kind: str, here: Path, seed: int) -> Storm:
    """A search of that kind, to be struck."""
    if kind == "pretended":
        command = pretend.command("run", *pretend.SMALL, "--out", "out", "--workers", "2")
        return Storm(command, here / "out", here, pretend.environment(), seed, longest=3.0)
    command = [*FVSEARCH, "run", "quickstart", "--out", "out", "--workers", "2", *SMALL]
    return Storm(command, here / "out", here, pretend.environment(), seed, longest=20.0)


def main() -> None:
    """Read the command line, and storm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first search; the next one's is one more")
    parser.add_argument("--kinds", nargs="+", choices=["real", "pretended"], default=["real", "pretended"])
    parser.add_argument("--rounds", type=int, default=8, help="starts of one search that are struck")
    options = parser.parse_args()
    end, number = time.monotonic() + 60 * options.minutes, 0
    blows: Counter[str] = Counter()
    states: Counter[str] = Counter()
    starts = 0
    while time.monotonic() < end:
        kind, seed = options.kinds[number % len(options.kinds)], options.seed + number
        here = Path(tempfile.mkdtemp(prefix="soak-"))
        print(f"{kind}, seed {seed}, in {here}", flush=True)
        storm = make_storm(kind, here, seed)
        try:
            for _ in range(options.rounds):
                if time.monotonic() < end:
                    storm.round()
                    starts += 1
            found = storm.finish()
        except BaseException as error:
            error.add_note(
                f"{kind}, seed {seed}, in {here}; blows in this start: {storm.struck}, in all {dict(storm.blows)}\n"
                f"again: nox -s soak -- --kinds {kind} --seed {seed} --rounds {options.rounds}"
            )
            raise
        print(f"  {dict(storm.blows)}; then {dict(found)}", flush=True)
        blows, states, number, starts = blows + storm.blows, states + found, number + 1, starts + 1
        shutil.rmtree(here)
    print(f"{number} searches, {starts} starts, {blows.total()} blows ({dict(blows)}), {states.total()} trials ({dict(states)}): laws hold")


if __name__ == "__main__":
    main()

"""What the searches of benchmarks/live.py won, read from their folders: hypervolume over training-seconds, CPU-seconds and trials."""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from fvsearch.fronts.posterior import posterior
from fvsearch.fronts.rungs import learned_objective
from fvsearch.fronts.standing import Standing, ledger_standings
from fvsearch.fronts.volume import baseline_units, hypervolume, reference
from fvsearch.ledger import Ledger
from fvsearch.search.watching import read_live
from fvsearch.study import Study

CPU_FILE = "cpu.jsonl"
"""In a search's folder: a line a trial, as it ended."""

READINGS = ("observed", "together")
"""Of hypervolume: values as they were observed, or what all searches of the study together tell of the archs."""

AXES = ("seconds", "cpu", "trials")
"""What a search took: training-seconds, CPU-seconds of its workers, trials."""


class Search(NamedTuple):
    """One search.

    Attributes:
        engine, seed: Whose.
        over: By axis, what was spent when each trial had ended, cumulated, in the order in which they ended.
        won: By reading, hypervolume then.
        places: Trials by where they stand: "front", "dominated", "infeasible", "failed".
        refused: Suggestions that were over budget as predicted, which cost nothing; of the search's latest start.
        lost: Training-seconds of trials that were over budget as measured.
        proposing: CPU-seconds of the search's own process.
        devices, versions: On and with which it trained.
    """

    engine: str
    seed: int
    over: dict[str, list[float]]
    won: dict[str, list[float]]
    places: dict[str, int]
    refused: int
    lost: float
    proposing: float
    devices: tuple[str, ...]
    versions: dict[str, str]

    def at(self, reading: str, spent: float, axis: str = "seconds") -> float:
        """Hypervolume that was won by the time that so much was spent."""
        pairs = zip(self.over[axis], self.won[reading], strict=True)
        return max((value for by_then, value in pairs if by_then <= spent), default=0.0)

    def reaches(self, reading: str, value: float, axis: str) -> float | None:
        """What was spent when so much hypervolume was won; none where it never was."""
        pairs = zip(self.over[axis], self.won[reading], strict=True)
        return next((spent for spent, won in pairs if won >= value), None)


class Found(NamedTuple):
    """The searches of a study.

    Attributes:
        searches: By engine, then by seed.
        archs: That were trained in any of them.
        again: Of these, such as were trained with the seeds of two studies or more.
        noise: Standard deviation of one training's value about its arch's own, as the surrogate has it.
    """

    searches: list[Search]
    archs: int
    again: int
    noise: float


def read_searches(folders: Mapping[tuple[str, int], tuple[Path, int]]) -> Found:
    """The first so many trials of the searches in these folders, by engine and seed, all with one reference point and one baseline.

    Raises:
        SystemExit: One of "front" must be among them, for the surrogate is its.
    """
    ledgers = {task: Ledger.open(folder) for task, (folder, _) in folders.items()}
    found = {task: first_ended(ledger_standings(ledger), folders[task][1]) for task, ledger in ledgers.items()}
    judge = next((ledger.study for (engine, _), ledger in ledgers.items() if engine == "front"), None)
    if judge is None:
        raise SystemExit(f"no search is by front, of {', '.join(f'{engine}, seed {seed}' for engine, seed in folders)}")
    means, again, noise = believed(judge, _by_seed(found))
    point, units = reference(judge), baseline_units(next(iter(found.values())))
    searches = []
    for (engine, seed), ledger in ledgers.items():
        readings = {"observed": found[engine, seed], "together": tuple(_valued(judge, one, means) for one in found[engine, seed])}
        volumes = {reading: hypervolume(judge, standings, point, units).over_trials for reading, standings in readings.items()}
        folder, _ = folders[engine, seed]
        order, cpu = volumes["observed"], read_cpu(folder / CPU_FILE)
        places: dict[str, int] = defaultdict(int)
        for one in found[engine, seed]:
            places[one.place] += 1
        live, trials = read_live(folder), [one.trial for one in found[engine, seed]]
        searches.append(
            Search(
                engine=engine,
                seed=seed,
                over={
                    "seconds": [won.train_seconds for won in order],
                    "cpu": list(itertools.accumulate(cpu[won.trial]["workers"] for won in order)),
                    "trials": [float(won.ended) for won in order],
                },
                won={reading: [won.value for won in volumes[reading]] for reading in READINGS},
                places=dict(places),
                refused=live.refused if live else 0,
                lost=sum(one.trial.seconds.get("train", 0.0) for one in found[engine, seed] if one.place == "infeasible"),
                proposing=sum(cpu[won.trial]["search"] for won in order),
                devices=tuple(dict.fromkeys(trial.device for trial in trials)),
                versions=trials[0].versions,
            )
        )
        ledger.close()
    return Found(searches, len(means), again, noise)


def first_ended(found: Iterable[Standing], count: int) -> tuple[Standing, ...]:
    """Those that ended first."""
    ended = [one for one in found if one.place != "running"]
    return tuple(sorted(ended, key=lambda one: (one.trial.ended, one.number))[:count])


def believed(judge: Study, found: Mapping[int, Iterable[Standing]]) -> tuple[dict[str, float], int, float]:
    """What all trainings together tell: posterior means by arch hash, how many archs have several trainings, and the noise of one.

    Trainings of an arch under one study seed are the same training, whoever asked for it, and count once.

    Args:
        judge: A study of the engine "front".
        found: By the study's seed, where trials stand.
    """
    learned = learned_objective(judge)
    trainings: dict[str, dict[int, Standing]] = defaultdict(dict)
    for seed, standings in found.items():
        for one in standings:
            if one.trial.state == "completed":
                trainings[one.trial.arch_hash][seed] = one
    firsts, fresh = [], {}
    for number, (name, known) in enumerate(trainings.items()):
        first, *others = known.values()
        firsts.append(msgspec.structs.replace(first, trial=msgspec.structs.replace(first.trial, number=number)))
        fresh[name] = [one.values[learned] for one in others]
    told = posterior(judge, firsts, fresh)
    if told is None:
        raise SystemExit("too few trials have ended to believe anything of archs")
    means = {one.trial.arch_hash: told.trials[one.number].mean for one in firsts}
    return means, sum(bool(values) for values in fresh.values()), told.noise


def _by_seed(found: Mapping[tuple[str, int], Sequence[Standing]]) -> dict[int, list[Standing]]:
    """All standings of the searches of a seed."""
    seeds: dict[int, list[Standing]] = defaultdict(list)
    for (_, seed), standings in found.items():
        seeds[seed] += standings
    return dict(seeds)


def _valued(judge: Study, one: Standing, means: Mapping[str, float]) -> Standing:
    """Where a trial stands, with its arch's posterior mean for what was observed."""
    if one.trial.arch_hash not in means:
        return one
    values = one.trial.values | {learned_objective(judge): means[one.trial.arch_hash]}
    return msgspec.structs.replace(one, trial=msgspec.structs.replace(one.trial, values=values), values=values)


def read_cpu(path: Path) -> dict[int, dict[str, float]]:
    """CPU-seconds of workers and search, by trial; a line that a kill left torn is none."""
    rows: dict[int, dict[str, float]] = defaultdict(lambda: {"workers": 0.0, "search": 0.0})
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows[row["trial"]] = {who: row[who] for who in ("workers", "search")}
    return rows

"""What a study's ledger has trained to the end, by arch and by share of the training split: the evidence that findings rest on."""

from collections.abc import Iterable, Mapping, Sequence

from fvsearch.archs.arch import Arch
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.records import Record
from fvsearch.search.confirmations import confirmations

Run = tuple[dict[str, float], ...]
"""A training: the metrics of each epoch, as the ledger keeps them."""


class Evidence(Record, frozen=True, kw_only=True):
    """All trainings of an arch on one share of the training split.

    Attributes:
        layout: The arch's canonical layout at the study's image size.
        train_share: Share of the training split that was trained on.
        runs: A training for each seed.
        memory: Peak bytes, by "measured" and "predicted"; what is not known is not there.
        throughput: Images/s, likewise.
    """

    arch: Arch
    layout: str
    train_share: float = 1.0
    runs: tuple[Run, ...]
    memory: Mapping[str, float] = {}
    throughput: Mapping[str, float] = {}

    @property
    def seeds(self) -> int:
        """How many trainings there are."""
        return len(self.runs)


def gather(ledger: Ledger, records: Iterable[TrialRecord]) -> tuple[Evidence, ...]:
    """Every arch that was trained to the end, those on the whole training split first, by trial.

    Where the search selected an arch by the value of its own training, that value is high by its seed too (the winner's curse); so the
    training counts only for archs that the study names, and for those that were never confirmed.

    Args:
        ledger: Of the study.
        records: Its trials.
    """
    study, quiet = ledger.study, ledger.quiet_pass().throughput
    trials = {trial.arch_hash: trial for trial in records}
    named = {arch.arch_hash for arch in (study.baseline, *study.listed_starts, *(study.confirm.archs if study.confirm else ()))}
    fresh: dict[tuple[str, float], list[Run]] = {}
    archs = {trial.arch_hash: (trial.arch, trial.layout) for trial in trials.values()}
    memory: dict[str, float] = {}
    for one in confirmations(ledger):
        archs.setdefault(one.arch_hash, (one.arch, one.layout))
        memory |= {one.arch_hash: one.measured["memory"]} if "memory" in one.measured else {}
        if not one.failed and len(one.epochs) == study.recipe.epochs:
            fresh.setdefault((one.arch_hash, one.train_share), []).append(one.epochs)
    whole = study.data.train_share
    found = []
    for arch_hash, (arch, layout) in archs.items():
        trial = trials.get(arch_hash)
        confirmed = fresh.pop((arch_hash, whole), [])
        own = _searched(trial, study.recipe.epochs) if trial and (arch_hash in named or not confirmed) else []
        measured = {"memory": memory[arch_hash]} if arch_hash in memory else {}
        found.append(
            Evidence(
                arch=arch,
                layout=layout,
                train_share=whole,
                runs=(*own, *confirmed),
                memory=_sides(trial, "memory", measured | (trial.measured if trial else {})),
                throughput=_sides(
                    trial, "throughput", {"throughput": quiet[trial.number].median} if trial and trial.number in quiet else {}
                ),
            )
        )
    parts = [
        Evidence(arch=archs[arch_hash][0], layout=archs[arch_hash][1], train_share=share, runs=tuple(runs))
        for (arch_hash, share), runs in fresh.items()
    ]
    return (*(one for one in found if one.runs), *parts)


def _searched(trial: TrialRecord, epochs: int) -> Sequence[Run]:
    return [repeat.epochs for repeat in trial.repeats if len(repeat.epochs) == epochs]


def _sides(trial: TrialRecord | None, kind: str, measured: Mapping[str, float]) -> dict[str, float]:
    sides: Iterable[tuple[str, Mapping[str, float]]] = (("measured", measured), ("predicted", trial.predicted if trial else {}))
    return {side: costs[kind] for side, costs in sides if kind in costs}

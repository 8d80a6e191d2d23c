"""run_transfer: every pre-training of a transfer study, every fine-tuning that starts from one, then what the archs cost, measured alone.

Each training is a run in a folder of its own, `pretraining/ViT-seed0` or `finetuning/ViT-as-Funnel-ViT-seed0`, as `fvsearch train` leaves
one. What a run came to is written beside them when it ends; interrupted at any point, the same call goes on from there.
"""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from fvsearch.data import check_source, prepare_source
from fvsearch.errors import ConfigError
from fvsearch.files import locked_folder, write_atomically
from fvsearch.ledger import now
from fvsearch.meters.measured import Measured
from fvsearch.records import Record, from_json, from_toml, to_toml
from fvsearch.search.workers import Jobs, RunSettings, as_sentence, open_pool, run_alone
from fvsearch.study.transfer import ENDED, STUDY_FILE, Training, TransferStudy, is_transfer_folder
from fvsearch.training.measuring import MeasureRequest, measure_throughputs
from fvsearch.training.run import Run, RunSummary, train_run
from fvsearch.training.segment import derive_seed

COSTS_FILE = "costs.json"

MEASURE_SECONDS = 2.0
"""Time for measuring one arch's throughput, compile excluded."""


class TransferResult(Record, frozen=True, kw_only=True):
    """What one training of a transfer study came to.

    Attributes:
        pretrained: Name of the arch that was pre-trained.
        finetuned: Name of the arch that was fine-tuned; none is the pre-training itself.
        index: Of the seed, from 0.
        seed: Of the training.
        summary: Of the run; none where it failed.
        reason: Why it failed; empty if it did not.
        ended: ISO 8601, UTC.
    """

    pretrained: str
    finetuned: str | None = None
    index: int
    seed: int
    summary: RunSummary | None = None
    reason: str = ""
    ended: str = ""

    @property
    def name(self) -> str:
        """`ViT-seed0`, `ViT-as-Funnel-ViT-seed0`."""
        return (
            f"{self.pretrained}-seed{self.index}" if self.finetuned is None else f"{self.pretrained}-as-{self.finetuned}-seed{self.index}"
        )

    @property
    def home(self) -> str:
        """Of the run, below the study's folder."""
        return f"{'pretraining' if self.finetuned is None else 'finetuning'}/{self.name}"

    @property
    def start(self) -> "TransferResult | None":
        """The pre-training that a fine-tuning starts from, by its name and home."""
        return msgspec.structs.replace(self, finetuned=None) if self.finetuned is not None else None


class Costs(Record, frozen=True, kw_only=True):
    """What the training steps of the study's archs cost on this device, in their order, measured side by side with nothing else running."""

    pretraining: Measured
    finetuning: Measured


class Transferring(Record, frozen=True, kw_only=True):
    """Where a transfer study is.

    Attributes:
        activity: What goes on before anything is trained; empty from then on.
        done: Trainings that have ended, of the total.
        running: Trainings under way.
        ended: The training that has just ended, if this is why progress is told.
    """

    done: int
    total: int
    running: tuple[TransferResult, ...] = ()
    ended: TransferResult | None = None
    activity: str = ""


Watcher = Callable[[Transferring], None]


class Task(NamedTuple):
    """A run and its folder: what a worker is sent."""

    run: Run
    folder: Path


def train_task(task: Task) -> RunSummary:
    """What the worker does."""
    return train_run(task.run, task.folder)


def run_transfer(study: TransferStudy, folder: Path, settings: RunSettings, watcher: Watcher = lambda progress: None) -> None:
    """Train and measure until all that the study asks for stands. More seeds than before are added to those that stand.

    Args:
        study: What to train.
        folder: Of the study; made if need be.
        settings: How.
        watcher: Told of progress.

    Raises:
        ConfigError: Data that cannot be read, a folder that holds another study or another backend's numbers, or cannot be written.
        LockedError: Another process works on the folder.
        RunError: The archs cannot be measured on this device.
    """
    for phase in (study.pretraining, study.finetuning):
        check_source(phase.data)
    for phase in (study.pretraining, study.finetuning):
        prepare_source(phase.data, lambda activity: watcher(Transferring(done=0, total=study.num_runs, activity=activity)))
    with locked_folder(folder, patience=0.0):
        _claim(folder, study)
        stands = {result.name: result for result in results(folder)}
        other = {result.summary.backend for result in stands.values() if result.summary} - {settings.backend}
        if other:
            raise ConfigError(
                f"{folder} was trained on {', '.join(sorted(other))}, and numbers of {settings.backend} do not compare with it; "
                f"give --backend {min(other)}, or another folder with --out"
            )
        _train(study, folder, settings, stands, watcher)
        if not (folder / COSTS_FILE).exists():
            write_atomically(folder / COSTS_FILE, msgspec.json.encode(_measure(study, folder, settings)))


def read_transfer(folder: Path) -> tuple[TransferStudy, tuple[TransferResult, ...], Costs | None]:
    """The study of a folder, what has ended of it, and what its archs cost where that is measured.

    Raises:
        ConfigError: The folder holds no transfer study.
    """
    if not is_transfer_folder(folder):
        raise ConfigError(f"{folder} must be the folder of a transfer study, but it holds none; `fvsearch run transfer-shapes` makes one")
    path = folder / COSTS_FILE
    costs = from_json(path, Costs) if path.exists() else None
    return from_toml(folder / STUDY_FILE, TransferStudy), results(folder), costs


def results(folder: Path) -> tuple[TransferResult, ...]:
    """What has ended, by name."""
    return tuple(from_json(path, TransferResult) for path in sorted((folder / ENDED).glob("*.json")))


def failed_note(folder: Path) -> str:
    """How what failed is tried again, in a sentence; empty where nothing did. It stands, for the same seed would mostly fail again."""
    failed = [str(folder / ENDED / f"{one.name}.json") for one in results(folder) if one.summary is None]
    if not failed:
        return ""
    one, them = ("one training", "it") if len(failed) == 1 else (f"{len(failed)} trainings", "them")
    return f"{one} failed, and so will stand; to try {them} again: rm {shlex.join(failed)}, then the same command"


def _claim(folder: Path, study: TransferStudy) -> None:
    """Make a folder the study's, or find that it is; only the number of seeds may grow."""
    path = folder / STUDY_FILE
    if path.exists():
        there = from_toml(path, TransferStudy)
        if msgspec.structs.replace(there, seeds=study.seeds, description=study.description, resources=study.resources) != study:
            raise ConfigError(
                f"a folder holds one study, but {path} differs in more than its seeds from the one that is to run; "
                "give another folder with --out"
            )
        study = msgspec.structs.replace(study, seeds=max(study.seeds, there.seeds))
    (folder / ENDED).mkdir(exist_ok=True)
    write_atomically(path, to_toml(study).encode())


def _planned(study: TransferStudy) -> Iterator[TransferResult]:
    """Records of trainings that have not begun; every arch's and way's first seed before any's second."""
    for index in range(study.seeds):
        for name, arch in study.archs.items():
            yield TransferResult(pretrained=name, index=index, seed=derive_seed(study.seed, arch.arch_hash, index))
        for way in study.ways:
            hashes = "/".join(study.archs[name].arch_hash for name in way)
            yield TransferResult(
                pretrained=way.pretrained, finetuned=way.finetuned, index=index, seed=derive_seed(study.seed, hashes, index)
            )


def _train(study: TransferStudy, folder: Path, settings: RunSettings, stands: dict[str, TransferResult], watcher: Watcher) -> None:
    """Keep the workers busy until every training stands; a fine-tuning waits for the pre-training that it starts from."""
    waiting = [one for one in _planned(study) if one.name not in stands]
    total, done = study.num_runs, study.num_runs - len(waiting)
    if not waiting:
        return
    with open_pool(settings, folder, study.resources) as pool:
        jobs: Jobs[TransferResult, Task, RunSummary] = Jobs(pool, train_task)

        def end(one: TransferResult) -> None:
            nonlocal done
            ended = msgspec.structs.replace(one, ended=now())
            write_atomically(folder / ENDED / f"{one.name}.json", msgspec.json.encode(ended))
            stands[one.name] = ended
            done += 1
            watcher(Transferring(done=done, total=total, running=jobs.owners, ended=ended))

        while waiting or jobs.owners:
            for one in [one for one in waiting if _is_ready(one, stands)]:
                source = stands[one.start.name] if one.start else None
                if source and source.summary is None:
                    waiting.remove(one)
                    end(msgspec.structs.replace(one, reason=f"its pre-training failed: {source.reason}"))
                elif jobs.has_room:
                    waiting.remove(one)
                    jobs.submit(one, _task(study, folder, one))
            watcher(Transferring(done=done, total=total, running=jobs.owners))
            for one, outcome in jobs.ended():
                if isinstance(outcome, Exception):
                    end(msgspec.structs.replace(one, reason=as_sentence(outcome)))
                else:
                    end(msgspec.structs.replace(one, summary=outcome))


def _is_ready(one: TransferResult, stands: dict[str, TransferResult]) -> bool:
    return one.start is None or one.start.name in stands


def _task(study: TransferStudy, folder: Path, one: TransferResult) -> Task:
    phase = study.pretraining if one.finetuned is None else study.finetuning
    run = Run(
        name=one.name,
        arch=study.archs[one.finetuned or one.pretrained],
        data=phase.data,
        recipe=phase.recipe,
        seed=one.seed,
        start=str(folder / one.start.home) if one.start else None,
    )
    return Task(run, folder / one.home)


def _measure(study: TransferStudy, folder: Path, settings: RunSettings) -> Costs:
    """The training step of every arch in both phases, with nothing else running."""
    requests = [_request(study, phase) for phase in (study.pretraining, study.finetuning)]
    what = "the trainings stand and the same command tries again, but their archs"
    pretraining, finetuning = run_alone(settings, folder, study.resources, measure_throughputs, requests, what, len(study.archs))
    return Costs(pretraining=pretraining, finetuning=finetuning)


def _request(study: TransferStudy, phase: Training) -> MeasureRequest:
    archs = tuple(study.archs.values())
    return MeasureRequest(
        archs=archs,
        image_shape=phase.data.image_shape,
        num_classes=phase.data.num_classes,
        recipe=phase.recipe,
        batch_size=phase.recipe.step_batch_size,
        phase="training",
        time_budget=MEASURE_SECONDS * len(archs),
        seed=study.seed,
    )

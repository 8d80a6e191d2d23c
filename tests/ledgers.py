"""A small study whose numbers can be checked by hand, entered through the real Ledger: trials of every place, costs in round MiB."""

from pathlib import Path

import msgspec
import optuna

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout, parse_layout
from fvsearch.archs.space import Space, StageSpace
from fvsearch.ledger import Invocation, Ledger, QuietPass, Repeat, TrialRecord
from fvsearch.ledger._opening import open_study
from fvsearch.ledger._storage import LedgerStorage
from fvsearch.ledger._tables import METADATA
from fvsearch.meters.measured import Anchor, Interval
from fvsearch.records import Record
from fvsearch.study import LEARNED, Data, Objective, Study
from fvsearch.study.budgets import Budget
from fvsearch.study.recipe import Recipe
from fvsearch.training.metrics import EpochMetrics, MetricsFile

MIB = 2**20
EPOCHS = 5

SPACE = Space(
    name="small",
    patch_size=2,
    head_dim=16,
    stages=(
        StageSpace(depth=(1, 2, 3, 4), width=(32, 48, 64), mlp_dim=(64, 96, 128)),
        StageSpace(depth=(0, 1, 2, 3), width=(32, 48, 64), mlp_dim=(64, 96, 128), pool_stride=(1, 2), pooling=("mean", "max")),
    ),
)


def arch(layout: str) -> Arch:
    """An arch of the small space."""
    return parse_layout(layout, patch_size=2, image_size=8)


STUDY = Study(
    name="small",
    description="digits, by hand",
    space=SPACE,
    baseline=arch("B4(17, h48, m96, a3)"),
    data=Data(source="digits", image_size=8, channels=1, num_classes=10),
    recipe=Recipe(epochs=EPOCHS),
    budget=Budget(memory="1.0x", throughput="1.0x"),
    objectives=(Objective(name="top1", direction="maximize"), Objective(name="memory", direction="minimize")),
    trials=16,
    seed=7,
)


class Trial(Record, frozen=True, kw_only=True):
    """A trial in short.

    Attributes:
        memory: Measured, in MiB.
        predicted: Memory, in MiB.
        throughput: Predicted, in images/s.
        epochs: Trained; fewer where a rung stopped it, or where it is paused.
    """

    layout: str
    state: str = "completed"
    top1: float | None = None
    memory: float | None = None
    predicted: float
    throughput: float
    epochs: int = EPOCHS
    reason: str = ""
    constraints: dict[str, float] = {}


TRIALS = (
    Trial(layout="B4(17, h48, m96, a3)", top1=0.960, memory=10.0, predicted=10.0, throughput=2000),
    Trial(layout="B1(17, h32, m64, a2)-1(9, h32, m64, a2)", top1=0.900, memory=4.0, predicted=3.8, throughput=4200),
    Trial(layout="B2(17, h32, m96, a2)-2(9, h32, m64, a2)", top1=0.950, memory=6.0, predicted=6.3, throughput=3000),
    Trial(layout="B2(17, h48, m128, a3)-2(9, h48, m96, a3)", top1=0.970, memory=8.0, predicted=8.1, throughput=2400),
    Trial(layout="B2(17, h32, m128, a2)-2(9, max, h48, m64, a3)", top1=0.940, memory=7.0, predicted=6.9, throughput=2700),
    Trial(layout="B1(17, h32, m64, a2)-2(9, h32, m64, a2)", top1=0.890, memory=5.0, predicted=4.9, throughput=3500),
    Trial(
        layout="B4(17, h32, m128, a2)-1(17, h64, m128, a4)",
        state="infeasible",
        memory=12.0,
        predicted=9.9,
        throughput=2050,
        reason="memory is 12.0 MiB as measured, and the budget 10.0 MiB",
        constraints={"memory": 0.2},
    ),
    Trial(layout="B3(17, h64, m128, a4)", state="failed", memory=9.5, predicted=9.5, throughput=2010, reason="the loss is NaN in epoch 3"),
    # Within the budget as predicted; the quiet pass will measure 1900 images/s.
    Trial(layout="B3(17, h48, m96, a3)-1(9, h48, m96, a3)", top1=0.965, memory=7.5, predicted=7.6, throughput=2100),
    Trial(layout="B2(17, h32, m64, a2)-1(9, h32, m64, a2)", top1=0.930, memory=5.5, predicted=5.4, throughput=3300),
    Trial(layout="B3(17, h32, m128, a2)-3(9, h48, m128, a3)", top1=0.970, memory=9.0, predicted=8.8, throughput=2200),
    Trial(layout="B2(17, h48, m64, a3)-1(9, max, h48, m64, a3)", state="running", predicted=6.6, throughput=2800),
    # Out of memory: what it would have needed is not known.
    Trial(
        layout="B4(17, h48, m128, a3)-3(9, h32, m64, a2)",
        state="infeasible",
        predicted=9.7,
        throughput=2001,
        reason="the device ran out of memory",
        constraints={"memory": 1.0},
    ),
)
"""Memory and top-1 of those that count: (4, .90), (5.5, .93), (6, .95), (8, .97) are the front; 0, 4, 5 and 10 are dominated."""

EVERY_STATE = (
    # Trained over the budget, and better than all that are within it.
    Trial(layout="B4(17, h48, m96, a3)", top1=0.990, memory=11.0, predicted=10.0, throughput=2000, constraints={"memory": 0.1}),
    *TRIALS[1:4],
    TRIALS[6],
    TRIALS[7],
    Trial(
        layout="B1(17, h32, m96, a2)-2(9, h32, m64, a2)", state="stopped", top1=0.5, memory=2.0, predicted=2.0, throughput=4000, epochs=2
    ),
    Trial(layout="B1(17, h32, m96, a2)-1(9, h32, m64, a2)", state="paused", top1=0.6, memory=2.5, predicted=2.5, throughput=3900, epochs=3),
    TRIALS[11],
)
"""A trial of each state, on the front of which are 1, 2 and 3: what it stopped or paused, it knows too little of."""

QUIET = {
    0: (2000, 1980, 2020),
    1: (4100, 4050, 4160),
    2: (3100, 3060, 3150),
    3: (2300, 2280, 2330),
    8: (1900, 1880, 1910),
    9: (3200, 3150, 3260),
}
"""Images/s by trial: median, low, high."""


def record(trial: Trial, number: int, study: Study = STUDY) -> TrialRecord:
    """The trial's whole record; a trial a minute, each of 10 device-seconds a repeat."""
    known = arch(trial.layout)
    values = {
        "top1": trial.top1,
        "top5": 0.99,
        "loss": 1 - (trial.top1 or 0),
        "memory": (trial.memory or 0) * MIB,
        "throughput": trial.throughput,
    }
    values |= {"macs": 1.2e6, "num_params": 50_000 + number}
    trained = trial.top1 is not None
    return TrialRecord(
        state=trial.state,  # type: ignore[arg-type]
        reason=trial.reason,
        params=study.space.params(known) if study.space else {"index": study.engine.archs.index(known)},
        arch=known,
        layout=format_layout(known, 8),
        arch_hash=known.arch_hash,
        predicted={"memory": trial.predicted * MIB, "throughput": trial.throughput, "num_params": 50_000 + number, "macs": 1.2e6},
        measured={"memory": trial.memory * MIB} if trial.memory is not None else {},
        memory_source="by the test",
        constraints=trial.constraints
        or ({"memory": (trial.memory or 0) / 10 - 1, "throughput": 1 - trial.throughput / 2000} if trained else {}),
        values={o.name: values[o.name] for o in study.objectives} if trained else {},  # type: ignore[misc]
        spread={o.name: 0.01 for o in study.objectives if o.name in LEARNED} if trained and study.repeats > 1 else {},
        repeats=tuple(
            Repeat(
                seed=100 * number + index,
                epochs=_epochs(trial.top1)[: trial.epochs] if trial.top1 is not None else (),
                seconds={"import": 1.0, "build": 0.5, "compile": 2.0, "train": 6.0, "measure": 0.5},
            )
            for index in range(study.repeats if trial.state != "running" else 0)
        ),
        backend="jax",
        device="cpu",
        versions={"keras": "3.15.1", "jax": "0.10.2"},
        started=f"2026-01-02T03:{number:02d}:00+00:00",
        ended=f"2026-01-02T03:{number:02d}:50+00:00" if trial.state != "running" else "",
    )


def _epochs(top1: float) -> tuple[dict[str, float], ...]:
    """A curve that rises to its end."""
    reached = [top1 * (1 - 0.5 ** (epoch + 1)) for epoch in range(EPOCHS - 1)] + [top1]
    return tuple(
        {"epoch": epoch, "seconds": 1.2, "top1": value, "loss": 1 - value, "train_top1": value} for epoch, value in enumerate(reached)
    )


def fill(ledger: Ledger, trials: tuple[Trial, ...] = TRIALS, quiet: dict[int, tuple[float, float, float]] | None = None) -> Ledger:
    """Enter the trials, an anchor, two starts and the quiet pass (`QUIET` unless given) into an empty ledger."""
    for number, trial in enumerate(trials):
        whole = record(trial, number, ledger.study)
        started = ledger.start(
            msgspec.structs.replace(whole, state="running", values={}, measured={}, constraints={}, repeats=(), ended="")
        )
        if trial.state == "paused":
            ledger.update(msgspec.structs.replace(whole, number=started.number, target=trial.epochs))
        elif trial.state != "running":
            ledger.update(msgspec.structs.replace(whole, number=started.number))
    ledger.set_anchor(Anchor(throughput=2000, memory=10 * MIB, memory_source="by the test", device="cpu", seconds=4.0))
    quiet = QUIET if quiet is None else quiet
    throughput = {number: Interval(median=median, low=low, high=high) for number, (median, low, high) in quiet.items()}
    ledger.set_quiet_pass(QuietPass(throughput=throughput, seconds=16.0 if quiet else 0.0))
    times = {60.0: "2026-01-02T03:00:00+00:00", 30.0: "2026-01-02T03:05:00+00:00"}
    for seconds, begun in times.items():
        ledger.set_invocation(
            Invocation(command="fvsearch run small", started=begun, backend="jax", workers=2, version="0.1.0", seconds=seconds)
        )
    return ledger


def write_metrics(folder: Path, trial: int, repeat: int, *top1: float) -> Path:
    """What a worker has written of a running trial by now, an epoch for each top-1."""
    file = MetricsFile(folder / "trials" / f"{trial:04d}" / f"repeat{repeat}" / "metrics.jsonl")
    file.path.parent.mkdir(parents=True)
    for epoch, value in enumerate(top1):
        rest = {"loss": 1.0, "top5": 1.0, "train_loss": 1.0, "train_top1": 0.5, "train_top5": 1.0}
        file.append(EpochMetrics(epoch=epoch, seconds=1.0, top1=value, **rest))
    return file.path


def empty(folder: Path, study: Study = STUDY) -> Ledger:
    """An empty ledger in memory, fast; `Ledger.create` makes one on a disk."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = LedgerStorage("sqlite://", {}, "memory")
    METADATA.create_all(storage.engine)
    return Ledger(folder, study, storage, open_study(storage, study, None, None, folder))

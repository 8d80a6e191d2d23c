"""How far running trials are, read from their metrics files while workers write them."""

from fvsearch.ledger import Ledger
from fvsearch.records import Record
from fvsearch.study import LEARNED
from fvsearch.training.metrics import MetricsFile


class Progress(Record, frozen=True, kw_only=True):
    """A running trial's progress.

    Attributes:
        epochs: Done, over all repeats.
        of: To do, over all repeats.
        latest: The first learned objective after the latest epoch.
        started: ISO 8601, UTC.
    """

    number: int
    layout: str
    epochs: int
    of: int
    latest: float | None
    started: str


def progress(ledger: Ledger) -> tuple[Progress, ...]:
    """How far each running trial is, by number."""
    learned = next(o.name for o in ledger.study.objectives if o.name in LEARNED)
    of = ledger.study.recipe.epochs * ledger.study.repeats
    found = []
    for trial in ledger.trials():
        if trial.state != "running":
            continue
        files = sorted((ledger.folder / "trials" / f"{trial.number:04d}").glob("*/metrics.jsonl"))
        epochs = [epoch for path in files for epoch in MetricsFile(path).read()]
        latest = getattr(epochs[-1], learned) if epochs else None
        found.append(Progress(number=trial.number, layout=trial.layout, epochs=len(epochs), of=of, latest=latest, started=trial.started))
    return tuple(found)

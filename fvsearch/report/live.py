"""How far running trials are, read from their metrics files while workers write them."""

import json
from collections.abc import Iterator
from pathlib import Path

from fvsearch.ledger import Ledger
from fvsearch.records import Record
from fvsearch.study import LEARNED

METRICS_FILE = "metrics.jsonl"


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
    found = []
    for trial in ledger.trials():
        if trial.state != "running":
            continue
        epochs, latest = 0, None
        for path in sorted((ledger.folder / "trials" / f"{trial.number:04d}").glob(f"*/{METRICS_FILE}")):
            # A resumed repeat writes an epoch again: the last line of it counts, once.
            by_epoch = {line["epoch"]: line for line in read_lines(path) if "epoch" in line}
            epochs += len(by_epoch)
            if by_epoch:
                latest = by_epoch[max(by_epoch)].get(learned, latest)
        of = ledger.study.recipe.epochs * ledger.study.repeats
        found.append(Progress(number=trial.number, layout=trial.layout, epochs=epochs, of=of, latest=latest, started=trial.started))
    return tuple(found)


def read_lines(path: Path) -> Iterator[dict[str, float]]:
    """The whole lines of a JSON-lines file; one that is torn, as the last may be while it is written, is passed over."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(found, dict):
            yield found

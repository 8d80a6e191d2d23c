"""`fvsearch status` and `fvsearch front`: rich tables, plain documents for JSON, CSV. Nothing here prints."""

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from fvsearch.ledger import Ledger
from fvsearch.report import words
from fvsearch.report.facts import Bill
from fvsearch.report.fronts import fitting_front
from fvsearch.report.live import Now, now_of
from fvsearch.report.numbers import Row, Summary, summarise
from fvsearch.search.underway import Underway
from fvsearch.study import LEARNED
from fvsearch.units import show_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType


def status_document(ledger: Ledger) -> dict[str, Any]:
    """What `fvsearch status --json` prints: counts by place, running trials with their epochs, the best of the front, the bill."""
    summary, now = summarise(ledger), now_of(ledger)
    return {
        "name": summary.facts.name,
        "folder": summary.facts.folder,
        "headline": words.headline(summary),
        "trials": summary.facts.trials,
        "counts": summary.counts,
        "alive": now.alive,
        "activity": now.activity,
        "refused": now.refused,
        "hypervolume": _hypervolume(summary, now),
        "seconds_left": now.seconds_left,
        "next": now.next,
        "running": msgspec.to_builtins(now.running),
        "feasible": now.feasible,
        "predictions": summary.facts.predictions,
        "picks": summary.picks,
        "best": msgspec.to_builtins(summary.row(summary.picks["best"])) if summary.picks else None,
        "bill": msgspec.to_builtins(summary.bill),
    }


def front_document(ledger: Ledger) -> dict[str, Any]:
    """What `fvsearch front --json` prints and front.json holds: the whole Summary; the front is under "front", best first."""
    found: dict[str, Any] = msgspec.to_builtins(summarise(ledger))
    return found


def status_table(ledger: Ledger) -> "RenderableType":
    """The status for a terminal: headline, counts, time, what happens next, running trials with their epochs."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    summary, now = summarise(ledger), now_of(ledger)
    facts, bill = summary.facts, summary.bill
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="bold", no_wrap=True)
    lines.add_column(overflow="fold")
    told = {
        "study": f"{facts.name} in {facts.folder}",
        "now": now.activity or now.next,
        "trials": _trials(summary, now),
        "hypervolume": "" if (volume := _hypervolume(summary, now)) is None else f"{volume:.4g}",
        "best": _best(summary),
        "space": now.feasible,
        "predictions": facts.predictions,
        "time": _time(bill, now),
        "energy": words.energy(bill),
    }
    for name, text in told.items():
        if text:
            # Text, not markup: names and folders are the user's, and may hold brackets.
            lines.add_row(name, Text(text))
    parts: list[RenderableType] = [Text(words.headline(summary)), lines]
    if now.running:
        parts += ["", running_table(summary.learned, now.running, _running_word(now))]
    return Group(*parts)


def running_table(learned: str, running: Sequence[Underway], heading: str = "running") -> "RenderableType":
    """Trials that have not ended, with their epochs and what they have learned so far.

    Args:
        learned: The first learned objective.
        running: The trials.
        heading: Of their numbers.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column(heading, justify="right")
    table.add_column("epoch", no_wrap=True)
    table.add_column(f"{words.NAMES[learned]}\nso far", justify="right", no_wrap=True)
    hosts = any(one.host for one in running)
    if hosts:
        table.add_column("on", no_wrap=True)
    table.add_column("layout", overflow="fold")
    for one in running:
        latest = words.NONE if one.latest is None else words.objective(learned, one.latest)
        host = [Text(one.host)] if hosts else []
        table.add_row(f"#{one.number}", f"{one.epochs} of {one.of}", latest, *host, Text(one.layout))
    return table


def _hypervolume(summary: Summary, now: Now) -> float | None:
    """As the search tells it while it works, and from the ledger otherwise."""
    return summary.hypervolume.value if now.hypervolume is None or not now.alive else now.hypervolume


def _trials(summary: Summary, now: Now) -> str:
    shares = [f"{count} {_running_word(now) if place == 'running' else place}" for place, count in summary.counts.items() if count]
    shares += [f"{now.refused} refused before training"] if now.refused else []
    taken = f", and {now.imported} taken over from another study" if now.imported else ""
    return f"{now.ended} of {summary.facts.trials} ended{taken}" + (f": {', '.join(shares)}" if shares else "")


def _running_word(now: Now) -> str:
    """Nothing runs in a search that does not work."""
    return "running" if now.alive else "unfinished"


def _best(summary: Summary) -> str:
    if not summary.picks:
        return ""
    best = summary.row(summary.picks["best"])
    return f"trial {best.number}, {best.layout}: {words.reached(best, summary)} {words.NAMES[summary.learned]}"


def _time(bill: Bill, now: Now) -> str:
    left = f"; about {show_seconds(max(1, round(now.seconds_left)))} left" if now.seconds_left is not None else ""
    return f"{show_seconds(bill.wall)} in {words.plural(bill.starts, 'start')}; {show_seconds(bill.total)} on the device{left}"


def front_table(ledger: Ledger) -> "RenderableType":
    """The front for a terminal, best first, predicted and measured costs side by side; the baseline comes last where it is not on it."""
    from rich.console import Group
    from rich.text import Text

    summary = summarise(ledger)
    parts: list[RenderableType] = [Text(words.headline(summary))]
    base = summary.baseline
    rows = [*summary.front, *([base] if base and base.place != "front" else [])]
    if not rows:
        return parts[0]
    table = fitting_front(rows, summary)
    notes = f"Costs are of {words.at_which(summary)}; x is times the baseline, from the same source. {words.caution(summary)}"
    if posterior := words.posterior(summary):
        notes = f"{notes} {posterior}"
    if luck := words.luck(summary):
        notes = f"{notes} Fresh: mean over seeds that had no part in the selection, ± half of its 95% interval, and how many. {luck}"
    if still := words.unfinished(summary):
        notes = f"{still} {notes}"
    return Group(*parts, table, Text(notes, style="dim"))


def front_csv(ledger: Ledger) -> str:
    """The front as CSV with a header line, best first: bytes, images/s and shares, unrounded."""
    summary = summarise(ledger)
    rows = [_flat(row, summary) for row in summary.front]
    file = io.StringIO()
    columns = list(rows[0]) if rows else ["trial", "layout"]
    writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _flat(row: Row, summary: Summary) -> dict[str, object]:
    found: dict[str, object] = {"trial": row.number, "layout": row.layout, "arch_hash": row.arch_hash}
    if summary.posterior:
        belief = summary.posterior.trials.get(row.number)
        found |= {f"posterior_{summary.learned}": belief.mean if belief else None}
        found |= {"posterior_low": belief.low if belief else None, "posterior_high": belief.high if belief else None}
        found |= {"on_front": belief.on_front if belief else None}
    if summary.confirmed:
        again = summary.confirmed.row(row.number)
        estimate = again.mean if again else None
        found |= {f"fresh_{summary.learned}": estimate.value if estimate else None}
        found |= {"fresh_low": estimate.low if estimate else None, "fresh_high": estimate.high if estimate else None}
        found |= {"fresh_seeds": len(again.values) if again else 0, "verdict": again.verdict if again else ""}
    for name in (o.name for o in summary.facts.objectives if o.name in LEARNED):
        found |= {name: row.values.get(name), f"{name}_spread": row.spread.get(name)}
    for kind, quantity in (("memory", row.memory), ("throughput", row.throughput)):
        found |= {f"{kind}_{name}": value for name, value in msgspec.structs.asdict(quantity).items()}
    # Memory is read once: it has no interval.
    del found["memory_low"], found["memory_high"]
    return found | {"num_params": row.num_params, "macs": row.macs, "picks": " ".join(row.picks)}

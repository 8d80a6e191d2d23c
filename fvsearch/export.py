"""A trial of a study as a run: arch, data, recipe and seed for a full training, and what the search knew of it."""

import shlex
from pathlib import Path
from typing import Any

import msgspec

from fvsearch import __version__
from fvsearch.errors import ConfigError
from fvsearch.files import write_atomically
from fvsearch.ledger import Ledger
from fvsearch.records import suggest, to_builtins, to_toml
from fvsearch.report import words
from fvsearch.report.numbers import PICKS, Row, Summary, summarise
from fvsearch.training.run import Run


def export_run(ledger: Ledger, trial: int | None = None, pick: str = "knee", epochs: int | None = None) -> Run:
    """The run that trains a trial's arch, with the seed of its first training in the search.

    Args:
        ledger: Of the study.
        trial: Its number; without one, `pick` chooses from the front.
        pick: "knee", "best", "fastest" or "smallest".
        epochs: To train; as many as the search did unless said.

    Raises:
        ConfigError: There is no such trial or pick, the trial was not trained within the budget, or the front is empty.
    """
    summary = summarise(ledger)
    row = _picked(summary, pick) if trial is None else _numbered(summary, trial)
    study = ledger.study
    recipe = study.recipe if epochs is None else msgspec.structs.replace(study.recipe, epochs=epochs)
    return Run(
        name=f"{study.name}-{row.number}",
        arch=row.arch,
        data=study.data,
        recipe=recipe,
        seed=row.seeds[0] if row.seeds else study.seed,
        evidence=_evidence(summary, row),
    )


def write_run(run: Run, path: Path, *, overwrite: bool = False) -> None:
    """Write a run as TOML, whole or not at all, with a comment that says how to train it.

    Raises:
        ConfigError: The file is there and is not to be overwritten, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} must be a new file, but it exists; --force overwrites it, -o names another")
    try:
        write_atomically(path, f"{_header(run, path)}\n{to_toml(run)}".encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; give another file with -o") from None


def _picked(summary: Summary, pick: str) -> Row:
    if pick not in PICKS:
        raise ConfigError(f"`pick` must be one of {', '.join(PICKS)}, but got {pick!r}{suggest(pick, PICKS)}")
    if not summary.picks:
        raise ConfigError(f"a pick must come from the front, but the front of {summary.facts.folder} is empty: {words.headline(summary)}")
    return summary.row(summary.picks[pick])


def _numbered(summary: Summary, number: int) -> Row:
    rows = summary.rows
    if not any(row.number == number for row in rows):
        there = f"it has {words.plural(len(rows), 'trial')}, 0 to {len(rows) - 1}" if rows else "it has none yet"
        raise ConfigError(f"`trial` must be a trial of {summary.facts.folder}, but got {number}: {there}")
    row = summary.row(number)
    if row.place in ("failed", "infeasible", "running"):
        said = {"failed": "failed", "infeasible": "is over budget", "running": "is still running"}[row.place]
        why = f" ({words.why(row)})" if words.why(row) else ""
        others = ", ".join(str(one.number) for one in rows if one.place in ("front", "dominated"))
        way_out = f"trained within it: {others}" if others else "none is yet"
        raise ConfigError(f"a trial must have been trained within the budget to be exported, but trial {number} {said}{why}; {way_out}")
    return row


def _evidence(summary: Summary, row: Row) -> dict[str, Any]:
    """What the search knew, in plain values: costs in bytes and images/s, accuracies as shares of the validation split."""
    facts = summary.facts
    evidence: dict[str, Any] = to_builtins(
        {
            "study": facts.name,
            "trial": row.number,
            "picks": list(row.picks),
            "place": row.place,
            "layout": row.layout,
            "arch_hash": row.arch_hash,
            # Fewer than the recipe's where the trial was stopped early.
            "epochs": len(row.curve),
            "seeds": list(row.seeds),
            "values": row.values,
            "spread": row.spread,
            "costs_of": words.at_which(summary),
            "num_params": row.num_params,
            "macs": row.macs,
            "memory": row.memory,
            "throughput": row.throughput,
            "backends": facts.backends,
            "devices": facts.devices,
            "versions": {name: ", ".join(versions) for name, versions in facts.versions.items()},
        }
    )
    if belief := summary.posterior.trials.get(row.number) if summary.posterior else None:
        evidence["posterior"] = to_builtins({"objective": summary.learned} | msgspec.structs.asdict(belief))
    again = summary.confirmed.row(row.number) if summary.confirmed else None
    if again and again.mean:
        fresh = {"objective": summary.learned, "mean": again.mean.value, "low": again.mean.low, "high": again.mean.high}
        evidence["fresh_seeds"] = to_builtins(fresh | {"seeds": len(again.values), "verdict": again.verdict})
    return evidence


def _header(run: Run, path: Path) -> str:
    """The comment on top; what a file name may hold, a comment may not."""
    command = "".join(letter if letter.isprintable() else "?" for letter in f"fvsearch train {shlex.quote(str(path))}")
    known = run.evidence
    source = f"Trial {known['trial']} of" if "trial" in known else f"Proposed by {known.get('proposed_by')} for"
    return (
        f"# {source} the study {known.get('study')}, {known.get('layout')}, exported by fvsearch {__version__}.\n"
        f"#\n"
        f"#     {command}\n"
        f"#\n"
        f"# trains it to model.keras, with metrics and the test split's score. `evidence` is what the search knew; training ignores it.\n"
    )

"""What early stopping saves: hypervolume over training-seconds, the same study with rungs and without.

    python benchmarks/rungs.py [--study reinvestment-shapes] [--backend jax] [--seeds 3] [--trials N] [--set KEY=VALUE ...] [--folder DIR]
                               [--by seconds|work] [--docs docs/rungs.md] [--out FILE]

For each seed two searches run, in turns: one trains every trial to the end, one stops trials at the rungs of the study (of
`--rungs`, where it has none). Both have the same seed, space, budget, baseline and reference point. The one with rungs may start
`--more` times as many trials, for its trials are shorter; it is looked at up to what the other took, by one of two measures:

    seconds   training-seconds of a worker, summed over the trials that had ended: train alone, what a search with rungs can save
    work      multiply-adds that were trained, epochs times the arch's: no other load on the machine moves it

"reaches it at" is the share of what the whole search took at which the search with rungs had the same hypervolume.

A search that was interrupted goes on, and one that has ended is read from its folder. Tables on stderr, one JSON document on stdout.
"""

import argparse
import itertools
import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from _pages import markdown, replace_figures

from fvsearch import RunSettings, load_study, run_study
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.report import summarise
from fvsearch.study import EarlyStopping, Study

SHARES = (0.25, 0.5, 0.75, 1.0)

MEASURES = {"seconds": "training-seconds", "work": "trained multiply-adds"}
"""Of what a search took."""


def main() -> None:
    """Run, or read, the searches; print their figures."""
    options = parse()
    study = load_study(options.study, options.settings)
    study = study.with_settings(trials=options.trials or study.trials, confirm=None)
    rule = EarlyStopping(rungs=tuple(options.rungs), keep=options.keep)
    found: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        sides = {
            "whole": study.with_settings(seed=seed, early_stopping=None),
            "rungs": study.with_settings(seed=seed, early_stopping=rule, trials=round(study.trials * options.more)),
        }
        order = list(sides) if seed % 2 == 0 else list(reversed(sides))
        found.append({side: measured(sides[side], options, side) for side in order} | {"seed": seed})
        show(found, rule, options.by)
    document = {"study": study.name, "trials": study.trials, "rule": msgspec.to_builtins(rule), "seeds": found}
    document["devices"] = sorted({device for one in found for side in ("whole", "rungs") for device in one[side]["device"]})
    if options.docs:
        replace_figures(options.docs, "rungs", [explained(document, rule, options.by), table(found, options.by)])
    if options.out:
        options.out.write_text(json.dumps(document, indent=1))
    print(json.dumps(document))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="reinvestment-shapes")
    parser.add_argument("--backend", default="jax")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, help="of the search without rungs; the study's unless given")
    parser.add_argument("--more", type=float, default=2.0, help="times as many trials with rungs")
    parser.add_argument("--rungs", type=float, nargs="+", default=EarlyStopping().rungs)
    parser.add_argument("--keep", type=float, default=EarlyStopping().keep)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-rungs"))
    parser.add_argument("--by", choices=list(MEASURES), default="seconds")
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def measured(study: Study, options: argparse.Namespace, side: str) -> dict[str, Any]:
    """Hypervolume over training-seconds of one search, run to its end or as it stands there."""
    folder = options.folder / f"seed{study.seed}-{side}"
    ledger = run_study(study, folder, RunSettings(backend=options.backend, workers=options.workers, command="benchmarks/rungs.py"))
    summary = summarise(Ledger.open(folder))
    volume = summary.hypervolume
    trials = ledger.trials()
    trained = {trial.number: work(trial) for trial in trials}
    spent = itertools.accumulate(trained[won.trial] for won in volume.over_trials)
    return {
        "over_seconds": [(won.train_seconds, won.value) for won in volume.over_trials],
        "over_work": [(macs, won.value) for macs, won in zip(spent, volume.over_trials, strict=True)],
        "work": sum(trained.values()),
        "seconds": volume.over_trials[-1].train_seconds,
        "all_seconds": volume.over_trials[-1].seconds,
        "hypervolume": volume.value,
        "trials": len(trials),
        "stopped": sum(trial.state == "stopped" for trial in trials),
        "tau": [(row.epochs, row.tau, row.pairs) for row in summary.rungs],
        "device": list(summary.facts.devices),
        "versions": {name: list(known) for name, known in summary.facts.versions.items()},
    }


def work(trial: TrialRecord) -> float:
    """Epochs that were trained, times the multiply-adds of an image."""
    return sum(len(repeat.epochs) for repeat in trial.repeats) * trial.predicted["macs"]


def value_at(over_seconds: Sequence[Sequence[float]], seconds: float) -> float:
    """Hypervolume that was won within so many training-seconds."""
    return max((value for spent, value in over_seconds if spent <= seconds), default=0.0)


def reached_at(over_seconds: Sequence[Sequence[float]], value: float) -> float | None:
    """Training-seconds after which so much hypervolume was won; none where it was not."""
    return next((spent for spent, won in over_seconds if won >= value), None)


def table(found: list[dict[str, Any]], by: str) -> str:
    """A line a seed, and the medians."""
    rows: list[list[str]] = []
    for one in found:
        sides, most = (one["whole"], one["rungs"]), one["whole"]["hypervolume"]
        spent = [share * one["whole"][by] for share in SHARES]
        pairs = [[value_at(side[f"over_{by}"], amount) / most for side in sides] for amount in spent]
        counts = [str(sides[0]["trials"]), f"{sides[1]['trials']}, {sides[1]['stopped']} stopped"]
        rows.append([str(one["seed"]), *counts, *(f"{a:.2f} / {b:.2f}" for a, b in pairs), shown(share_reached(one, by))])
    middle = statistics.median(share_reached(one, by) for one in found)
    rows.append(["median", "", "", *("" for _ in SHARES), shown(middle)])
    return markdown(["seed", "whole: trials", "rungs: trials", *(f"at {share:.0%}" for share in SHARES), "reaches it at"], rows)


def share_reached(one: dict[str, Any], over: str) -> float:
    """Share of the whole search's seconds or work at which the one with rungs had its hypervolume; infinite where it never had."""
    at = reached_at(one["rungs"][f"over_{over}"], one["whole"]["hypervolume"])
    return math.inf if at is None else at / one["whole"][over]


def shown(share: float) -> str:
    """A share, or that it was not reached."""
    return "never" if share == math.inf else f"{share:.2f}"


def explained(document: dict[str, Any], rule: EarlyStopping, by: str) -> str:
    """What the table is of."""
    first = document["seeds"][0]["whole"]
    versions = ", ".join(f"{name} {' and '.join(known)}" for name, known in first["versions"].items())
    taus = "; ".join(
        f"seed {one['seed']}: " + ", ".join(f"{tau:.2f} after {epochs}" for epochs, tau, _ in one["whole"]["tau"] if tau is not None)
        for one in document["seeds"]
    )
    return (
        f"`{document['study']}`, {document['trials']} trials trained to the end against rungs at {list(rule.rungs)} with "
        f"`keep = {rule.keep:g}`; {', '.join(document['devices'])}; {versions}.\n\n"
        "The columns hold hypervolume as a share of the whole search's last one, whole / with rungs, at shares of the whole search's "
        f"{MEASURES[by]}; the last is the share of them at which the search with rungs had as much as the whole one in the end.\n\n"
        f"Kendall's tau of early looks in the searches without rungs (epochs): {taus}."
    )


def show(found: list[dict[str, Any]], rule: EarlyStopping, by: str) -> None:
    """What is known by now."""
    print(f"\nhypervolume over that of the whole search, whole / rungs at shares of its {MEASURES[by]}; {rule}", file=sys.stderr)
    print(table(found, by), file=sys.stderr)
    for one in found:
        print(f"seed {one['seed']}: tau of rungs (epochs, tau, trials) {one['whole']['tau']}", file=sys.stderr)


if __name__ == "__main__":
    main()

"""How a study reads: names of things, costs with their ratio, and the sentence that says what was found."""

from fvsearch.fronts.volume import Reference
from fvsearch.report.facts import Bill
from fvsearch.report.intervals import Estimate
from fvsearch.report.numbers import Quantity, Row, Summary
from fvsearch.study import LEARNED
from fvsearch.study.recipe import Recipe
from fvsearch.units import show_bytes, show_count, show_joules, show_throughput

NAMES = {
    "top1": "validation top-1",
    "top5": "validation top-5",
    "loss": "validation loss",
    "memory": "memory",
    "throughput": "throughput",
    "macs": "multiply-adds",
    "num_params": "parameters",
}
"""Of objectives and costs, as a reader sees them."""

NONE = "\N{EN DASH}"
"""Where there is no number."""


def recipe(recipe: Recipe) -> str:
    """`15 epochs, batch 64 in 2 parts, adamw, learning rate 0.01; images: crop 0.05 to 1, flip`."""
    parts = f" in {recipe.accumulate} parts" if recipe.accumulate > 1 else ""
    said = [
        plural(recipe.epochs, "epoch"),
        f"batch {recipe.batch_size}{parts}",
        recipe.optimizer,
        f"learning rate {recipe.learning_rate:g}",
    ]
    said += [
        f"{name.replace('_', ' ')} {value:g}"
        for name in ("weight_decay", "clip_norm", "label_smoothing", "ema", "dropout", "stochastic_depth")
        if (value := getattr(recipe, name))
    ]
    augmentation = recipe.augmentation
    done = ["crop {:g} to {:g}".format(*augmentation.crop)] if augmentation.crop else []
    done += [
        f"{name.replace('_', ' ')} {value:g}"
        for name in ("grayscale", "color_jitter", "mixup", "cutmix")
        if (value := getattr(augmentation, name))
    ]
    done += ["flip"] if augmentation.flip else []
    return ", ".join(said) + (f"; images: {', '.join(done)}" if done else "")


def percent(share: float, digits: int = 1) -> str:
    """0.9694 -> 96.9%."""
    return f"{100 * share:.{digits}f}%"


def ratio(value: float) -> str:
    """0.7134 -> 0.71x."""
    return f"{value:.2f}x" if value < 10 else f"{value:.0f}x"


def objective(name: str, value: float) -> str:
    """A value of an objective in its unit."""
    if name in ("top1", "top5"):
        return percent(value)
    if name == "loss":
        return f"{value:.3f}"
    return {"memory": show_bytes, "throughput": show_throughput}.get(name, show_count)(value)


def learned(row: Row, name: str) -> str:
    """What a trial learned, with its spread over repeats where there is one."""
    if name not in row.values:
        return NONE
    text = objective(name, row.values[name])
    return f"{text} ± {objective(name, row.spread[name])}" if row.spread.get(name) else text


def believed(row: Row, summary: Summary) -> str:
    """What the posterior says of a trial: its mean and the ends of its 95% interval; no number where there is none."""
    belief = summary.posterior.trials.get(row.number) if summary.posterior else None
    if belief is None:
        return NONE
    mean, low, high = (objective(summary.learned, value) for value in (belief.mean, belief.low, belief.high))
    return f"{mean} ({low} to {high})"


def reached(row: Row, summary: Summary) -> str:
    """What a pick is worth: as believed, with what was observed beside it; as observed where nothing is believed."""
    belief = summary.posterior.trials.get(row.number) if summary.posterior else None
    seen = learned(row, summary.learned)
    return seen if belief is None else f"{objective(summary.learned, belief.mean)} (observed: {seen})"


def estimate(name: str, value: Estimate) -> str:
    """A mean with half its 95% interval: `95.1% ± 2.5%`."""
    text = objective(name, value.value)
    return text if value.low is None or value.high is None else f"{text} ± {objective(name, (value.high - value.low) / 2)}"


def fresh(row: Row, summary: Summary) -> str:
    """A trial's mean over fresh seeds and how many there were; no number where it was not trained again."""
    found = summary.confirmed.row(row.number) if summary.confirmed else None
    return NONE if found is None or found.mean is None else f"{estimate(summary.learned, found.mean)} ({len(found.values)})"


def cost(name: str, quantity: Quantity) -> str:
    """A cost from its better source, and which that is: `9.1 MiB measured, 0.71x`."""
    if quantity.value is None:
        return NONE
    text = f"{objective(name, quantity.value)} {quantity.source}"
    return f"{text}, {ratio(quantity.ratio)}" if quantity.ratio is not None else text


def with_ratio(name: str, value: float | None, times: float | None) -> str:
    """A cost and its ratio to the baseline's: `9.1 MiB (0.71x)`."""
    if value is None:
        return NONE
    return f"{objective(name, value)} ({ratio(times)})" if times is not None else objective(name, value)


ORIGINS = {
    "chance": "chance level",
    "budget": "the budget’s limit",
    "space": "the worst of the space by formula",
    "list": "the worst of the list by formula",
    "other": "the other study’s",
}
"""Where a coordinate of the reference point is from."""


def reference_point(reference: Reference) -> str:
    """Where the hypervolume is measured from, in a sentence."""
    parts = []
    for name, value in reference.point.items():
        at = objective(name, value) if name in LEARNED else f"{ratio(value)} of the baseline’s"
        parts.append(f"{NAMES[name]} {at} ({ORIGINS[reference.origin[name]]})")
    return f"Hypervolume is measured from {', '.join(parts)}, a point that no trial moves."


def energy(bill: Bill) -> str:
    """`1.26 MJ (0.35 kWh): gpu 1.10 MJ (0.31 kWh), cpu 160 kJ`; empty where nothing told any."""
    if not bill.joules:
        return ""
    parts = ", ".join(f"{name} {show_joules(joules)}" for name, joules in sorted(bill.joules.items(), reverse=True))
    whole = f"{show_joules(sum(bill.joules.values()))}: {parts}" if len(bill.joules) > 1 else parts
    return f"{whole}; {plural(bill.silent, 'trial')} took energy that nothing told" if bill.silent else whole


def plural(count: int, word: str) -> str:
    """2, "trial" -> 2 trials."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def why(row: Row) -> str:
    """Why a trial failed or is over budget; empty for others."""
    return row.reason or ", ".join(
        f"{NAMES[kind]} {percent(value)} {'over' if kind == 'memory' else 'short of'} its limit"
        for kind, value in row.constraints.items()
        if value > 0
    )


def headline(summary: Summary) -> str:
    """What was found, in a sentence or two, whatever state the study is in."""
    counts, name = summary.counts, NAMES[summary.learned]
    total, running = sum(counts.values()), counts["running"]
    ended = total - running
    if not total:
        return "No trial has started yet."
    if not ended:
        return f"{plural(running, 'trial')} {'is' if running == 1 else 'are'} running; none has ended yet."
    if not summary.front:
        causes = {"over budget as measured": counts["infeasible"], "failed": counts["failed"], "not trained to the end": counts["stopped"]}
        reasons = [f"{count} {cause}" for cause, count in causes.items() if count]
        return f"Nothing is on the front yet: of {plural(ended, 'ended trial')}, {' and '.join(reasons)}."
    best = summary.row(summary.picks["best"])
    text = f"{counts['front']} of {plural(ended, 'trial')} {'is' if counts['front'] == 1 else 'are'} on the front"
    if best.is_baseline:
        return f"{text}; the best in {name} is the baseline itself, with {reached(best, summary)}."
    reaches = f"the best reaches {reached(best, summary)} {name}"
    if best.memory.ratio is not None:
        reaches += f" with {ratio(best.memory.ratio)} of the baseline’s memory"
    base = summary.baseline
    if base and summary.learned in base.values:
        reaches += f" (the baseline: {learned(base, summary.learned)})"
    return f"{text}; {reaches}."


def unfinished(summary: Summary) -> str:
    """What is still to come of the study; empty where nothing is."""
    counts, asked = summary.counts, summary.facts.trials
    ended = sum(counts.values()) - counts["running"] - sum(bool(row.imported) for row in summary.rows)
    said = []
    if ended < asked:
        running = f", and {counts['running']} {'is' if counts['running'] == 1 else 'are'} running" if counts["running"] else ""
        said.append(f"{ended} of the {asked} trials asked for {'has' if ended == 1 else 'have'} ended{running}.")
    if any(row.throughput.measured is None for row in summary.front):
        said.append("The throughput of the front is predicted; it has not been measured yet.")
    return " ".join(said)


def caution(summary: Summary) -> str:
    """How far the values can be trusted."""
    said = "One seed: each architecture was trained once, so differences under seed noise are ties."
    if summary.facts.repeats > 1:
        said = f"{summary.facts.repeats} seeds: values are means over {summary.facts.repeats} trainings, ± is their standard deviation."
    if len(summary.facts.backends) > 1:
        said += f" Trials ran on {' and '.join(summary.facts.backends)}: what was measured of them does not compare."
    if len(summary.facts.devices) > 1:
        said += f" Trials ran on {' and '.join(summary.facts.devices)}: memory and time as measured on one do not compare with another's."
    if taken := [row for row in summary.rows if row.imported]:
        said += f" {plural(len(taken), 'trial')} came from {taken[0].imported.rpartition(' #')[0]}, trained and measured there."
    return said


FEW_SEEDS = 3
"""Below it Student's intervals are so wide that they tell next to nothing: 12.7 standard errors for two."""


def posterior(summary: Summary) -> str:
    """What the column of the posterior is, in a sentence or two; empty where there is none."""
    found = summary.posterior
    if found is None:
        return ""
    noise = objective(found.objective, found.noise).replace("%", " points")
    said = (
        "Posterior: what the architecture itself is believed to reach, all trials looked at together, with its 95% interval; one training "
        f"varies by about {noise} about that (its standard deviation). Picks go by it."
    )
    pairs = [(row.values[found.objective], found.trials[row.number].mean) for row in summary.front if row.number in found.trials]
    gap = sum(seen - mean for seen, mean in pairs) / len(pairs) if pairs else 0.0
    flattery = gap if found.objective != "loss" else -gap
    size = objective(found.objective, abs(gap)).replace("%", " points")
    if flattery > 0 and size != objective(found.objective, 0.0).replace("%", " points"):
        said += f" The front as observed is {size} better than believed, on average: a search keeps what came out well."
    return said


def luck(summary: Summary) -> str:
    """What fresh seeds say of the front, in a sentence or two; empty before there are any."""
    found = summary.confirmed
    if found is None:
        return ""
    judged = sum(bool(row.verdict) for row in found.rows)
    if not judged:
        return "No point of the front has been trained again."
    causes = {"no longer on the front by fresh seeds": len(found.dropped), "tied with a cheaper one": len(found.tied)}
    reasons = " and ".join(f"{count} {cause}" for cause, count in causes.items() if count)
    count = len(found.luck)
    were = "was" if 1 in (count, judged) else "were"
    said = f"As far as fresh seeds tell, {count or 'none'} of {plural(judged, 'front point')} {were} luck"
    said += f": {reasons}." if reasons else "."
    if found.flattered is not None:
        size = objective(summary.learned, abs(found.flattered)).replace("%", " points")
        said += f" The search saw its front {size} {'better' if found.flattered > 0 else 'worse'} than fresh seeds do, on average."
    if any(row.verdict and len(row.values) < FEW_SEEDS for row in found.rows):
        said += f" Where fresh seeds are fewer than {FEW_SEEDS}, nearly everything ties: more tell luck from seed noise."
    if found.missing:
        said += f" Without a fresh value: {', '.join(f'trial {number}' for number in found.missing)}."
    return said


def at_which(summary: Summary) -> str:
    """What costs are said of: `training at batch 64, float32`."""
    facts = summary.facts
    return f"{facts.budget.phase} at batch {facts.cost_batch_size}, {facts.recipe.dtype}"

"""What was measured after a search, as notes in optuna-dashboard: Optuna does not let go on what it has of a trial that ended."""

from fvsearch.fronts.standing import Standing, front, standings
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.study.budgets import is_met
from fvsearch.units import show_throughput


def note_measured(ledger: Ledger, trials: tuple[TrialRecord, ...]) -> None:
    """Note on each trial of the quiet pass what was measured, and on the study what that made of the front.

    Args:
        ledger: Of the study, after its quiet pass.
        trials: All of the study.
    """
    found = standings(ledger.study, trials, ledger.anchor(), ledger.quiet_pass())
    measured = [standing for standing in found if standing.throughput]
    if not measured:
        return
    baseline = next((standing.throughput.median for standing in measured if standing.number == 0 and standing.throughput), None)
    for standing in measured:
        ledger.note(_of_trial(standing, baseline), standing.number)
    ledger.note(_of_study(ledger, found))


def _of_trial(standing: Standing, baseline: float | None) -> str:
    rate = standing.throughput.median if standing.throughput else 0.0
    ratio = f", {rate / baseline:.2f}x the baseline's" if baseline and standing.number else ""
    predicted = standing.trial.predicted.get("throughput")
    text = f"{show_throughput(rate)} measured with nothing else running{ratio}"
    text += f"; predicted {show_throughput(predicted)}" if predicted else ""
    if is_met(standing.trial.constraints) and not is_met(standing.constraints):
        return f"{text}. That is {100 * standing.constraints['throughput']:.1f}% short of the budget: it left the front."
    return f"{text}."


def _of_study(ledger: Ledger, found: tuple[Standing, ...]) -> str:
    left = [standing.number for standing in found if is_met(standing.trial.constraints) and not is_met(standing.constraints)]
    text = f"the front, measured: {_trials([standing.number for standing in front(found)])}. "
    if left:
        text += f"Left it for the budget, once measured: {_trials(left)}. "
    if any(o.name == "throughput" for o in ledger.study.objectives):
        text += "Throughput among the values here is as predicted during the search. "
    return f"{text}Optuna keeps trials as they ended; `fvsearch front {ledger.folder}` goes by what was measured."


def _trials(numbers: list[int]) -> str:
    if not numbers:
        return "no trial"
    return f"trial{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"

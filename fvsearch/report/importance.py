"""Which params a study's accuracy hangs on, as its trials tell: Optuna's fANOVA.

A random forest is fitted to the trials, and the variance of what it predicts over the whole space is split by param (Hutter, Hoos and
Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", ICML 2014). It is an estimate: of few trials, one seed
each, at the archs that the engine chose to try.
"""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fvsearch.fronts.rungs import learned_objective
from fvsearch.ledger import TrialRecord
from fvsearch.records import Record
from fvsearch.study import Study

if TYPE_CHECKING:
    import plotly.graph_objects as go

FEWEST = 10
"""Trials below which a forest has nothing to split."""

MOST = 400
"""Trials that a forest is fitted to, drawn from all where there are more: its time grows with the square of them."""


class Importance(Record, frozen=True, kw_only=True):
    """The share of each param in how the first learned objective varies over the space.

    Attributes:
        trials: Completed trials that it is estimated from, trained to the end; of more than `MOST`, so many that were drawn.
        shares: By param, greatest first; they sum to 1.
        note: Why there is none, if so.
    """

    trials: int
    shares: dict[str, float] = {}
    note: str = ""


def importance(study: Study, trials: Sequence[TrialRecord]) -> Importance:
    """The importance of a study's params by its trials, the same for the same trials and study seed; takes up to seconds.

    Trials count that completed at full fidelity, within budget or not. A param that an arch does not use counts as its first choice.
    """
    learned = learned_objective(study)
    domains = study.space.domains() if study.space else {}
    # A baseline outside the space has no params.
    told = [trial for trial in trials if trial.state == "completed" and trial.params.keys() == domains.keys()]
    if not domains:
        return Importance(trials=len(told), note="the study has a list of architectures and no params to compare")
    if len(told) < FEWEST:
        return Importance(trials=len(told), note=f"it takes {FEWEST} trials trained to the end, and there are {len(told)}")
    if len(told) > MOST:
        told = random.Random(study.seed).sample(told, MOST)
    values = [trial.values[learned] for trial in told]
    if len(set(values)) == 1:
        return Importance(trials=len(told), note="all trials came to the same value")
    return Importance(trials=len(told), shares=_fanova(study, told, values))


def _fanova(study: Study, trials: Sequence[TrialRecord], values: Sequence[float]) -> dict[str, float]:
    import optuna
    from optuna.distributions import CategoricalDistribution
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    assert study.space is not None, "it has params"
    distributions = {path: CategoricalDistribution(choices) for path, choices in study.space.domains().items()}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = optuna.create_study()
    rows.add_trials(
        [
            optuna.trial.create_trial(params=dict(trial.params), distributions=dict(distributions), value=value)
            for trial, value in zip(trials, values, strict=True)
        ]
    )
    found = get_param_importances(rows, evaluator=FanovaImportanceEvaluator(seed=study.seed % 2**32))
    return {path: float(share) for path, share in sorted(found.items(), key=lambda item: (-item[1], item[0]))}


def figure(found: Importance | None) -> "go.Figure":
    """A bar for each param, the greatest on top, and a line where equal shares would end; no data where there is nothing to show."""
    from fvsearch.report import words
    from fvsearch.report.look import LIGHT, empty_figure

    drawn = empty_figure()
    if found is None or not found.shares:
        return drawn
    paths = list(reversed(found.shares))
    drawn.add_bar(
        x=[found.shares[path] for path in paths],
        y=paths,
        orientation="h",
        marker={"color": LIGHT["front"]},
        text=[words.percent(found.shares[path], 0) for path in paths],
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    drawn.add_vline(x=1 / len(paths), line={"color": LIGHT["soft"], "width": 1, "dash": "dot"})
    drawn.update_xaxes(title_text="share of the variance", tickformat="~%", rangemode="tozero")
    drawn.update_yaxes(showgrid=False, dtick=1)
    return drawn

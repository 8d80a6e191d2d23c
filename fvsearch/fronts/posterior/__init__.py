"""What is believed of each trained arch once all trials are looked at together: the front engine's surrogate, given a study's ledger.

An observed value is an arch's own value plus the noise of its seeds, and a search keeps what was observed high. The posterior takes that
back: it draws each arch toward what archs like it reached, the more so the noisier trainings are.
"""

from collections.abc import Mapping, Sequence

from fvsearch.fronts.posterior._records import Belief, Posterior
from fvsearch.fronts.standing import Standing
from fvsearch.study import Study

__all__ = ["Belief", "Posterior", "posterior"]


def posterior(study: Study, found: Sequence[Standing], fresh: Mapping[str, Sequence[float]] | None = None) -> Posterior | None:
    """What is believed of the trials; none of a study whose engine does not go by it, or with too few values.

    Args:
        study: Whose.
        found: Where its trials stand.
        fresh: Values of further trainings, by arch hash; they count as the trial's own do.
    """
    if study.engine.name != "front":
        return None
    # NumPy and SciPy, which no other study's tables need.
    from fvsearch.fronts.posterior._believe import believe

    return believe(study, found, fresh or {})

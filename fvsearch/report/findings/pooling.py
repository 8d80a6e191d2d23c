"""Finding 2: mean pooling against max, and stride 4 at one boundary against 2 twice."""

from fvsearch.report.findings import kin
from fvsearch.report.findings.comparing import aspect
from fvsearch.report.findings.pairs import Known
from fvsearch.report.verdicts import POINT, Aspect, is_above


def pooling(known: Known) -> tuple[Aspect, ...]:
    """Finding 2."""
    kinds = known.kindred(kin.by_mean_and_max, ("mean", "max"), kin.apart_from_pooling)
    boundaries = known.kindred(kin.at_once_and_twice, ("stride 4 once", "stride 2 twice"), kin.apart_from_boundaries)
    return (
        aspect(
            "mean pooling beats max: higher validation top-1 where nothing else differs",
            kinds,
            "an arch pooled by mean, and the same pooled by max",
            ["validation top-1"],
            lambda found: is_above(found["validation top-1"]),
        ),
        aspect(
            "stride 4 at one boundary is less stable than 2 twice: validation top-1 falls more from an epoch to the next, on average",
            boundaries,
            "an arch pooled once by 4, and one of as many blocks of the same size pooled twice by 2",
            ["fall", "validation top-1"],
            lambda found: is_above(found["fall"], POINT / 10),
        ),
    )

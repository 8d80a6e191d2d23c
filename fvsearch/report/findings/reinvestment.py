"""Finding 4: what is gained by spending what pooling saves on depth, hidden widths or MLPs, everywhere or at the beginning."""

from fvsearch.report.findings import kin
from fvsearch.report.findings.comparing import aspect, turned
from fvsearch.report.findings.pairs import Known, Pair
from fvsearch.report.intervals import Estimate
from fvsearch.report.verdicts import POINT, Aspect, Verdict, all_of, is_above, is_below


def reinvestment(known: Known) -> tuple[Aspect, ...]:
    """Finding 4."""
    usual = [*known.base, *known.twins]
    deeper = known.pairs(kin.is_deeper, ("deeper", "as it was"), usual)
    wider = known.pairs(kin.is_wider, ("wider", "as it was"), usual)
    larger_mlps = known.pairs(kin.has_larger_mlps, ("larger MLPs", "as it was"), usual)
    thin = [one for one in known.whole if kin.is_wide_then_thin(one.arch, known.baseline)]
    over = {one.layout: one for pair in (*deeper, *wider, *larger_mlps) if (one := pair.first).arch.pools}
    knobs = [
        Pair(mlp.first, width.first, ("larger MLPs", "wider"))
        for mlp in larger_mlps
        for width in wider
        if width.second.arch == mlp.second.arch
    ]

    def over_fits(found: dict[str, Estimate]) -> Verdict:
        return all_of([is_above(found["training top-1"]), is_above(turned(found["validation top-1"]))])

    both = ["training top-1", "validation top-1"]
    says = "{} alone over-fits: training top-1 up and validation top-1 down"
    return (
        aspect(says.format("deeper"), deeper, "the baseline or a pooled twin of it, and the same with more blocks", both, over_fits),
        aspect(
            says.format("wider"),
            wider,
            "the baseline or a pooled twin of it, and the same with larger hidden widths alone",
            both,
            over_fits,
        ),
        aspect(
            says.format("larger in its MLPs"),
            larger_mlps,
            "the baseline or a pooled twin of it, and the same with larger MLPs alone",
            both,
            over_fits,
        ),
        aspect(
            f"wide first and thin last is within {100 * POINT:g} point of the baseline's validation top-1, or above it",
            [Pair(one, base, ("wide, then thin", "baseline")) for one in thin for base in known.base],
            "the baseline, and a pooled arch that is wider than it at first and thinner at last",
            both,
            lambda found: is_below(turned(found["validation top-1"]), POINT),
        ),
        aspect(
            "wide first and thin last does better than each that is only deeper, wider or larger in its MLPs",
            [Pair(one, other, ("wide, then thin", "deeper or wider")) for one in thin for other in over.values()],
            "a pooled arch that is wide at first and thin at last, and one that is only deeper or wider",
            both,
            lambda found: is_above(found["validation top-1"]),
            together=all_of,
        ),
        aspect(
            "MLP size is the better knob than hidden width: larger MLPs alone reach a higher validation top-1 than larger widths alone",
            knobs,
            "an arch with larger MLPs alone and one with larger widths alone, of the same twin of the baseline",
            both,
            lambda found: is_above(found["validation top-1"]),
        ),
    )

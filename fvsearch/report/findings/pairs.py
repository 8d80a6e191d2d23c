"""Which archs are compared with which: the evidence, sorted for looking up, and pairs of it."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

from fvsearch.archs.arch import Arch
from fvsearch.report.findings import kin
from fvsearch.report.findings.evidence import Evidence


class Pair(NamedTuple):
    """Two archs that are compared, with what each stands for."""

    first: Evidence
    second: Evidence
    roles: tuple[str, str]


class Known:
    """The evidence, sorted for looking up."""

    def __init__(self, evidence: Sequence[Evidence], baseline: Arch, epochs: int, train_share: float) -> None:
        self.epochs, self.train_share = epochs, train_share
        self.whole = [one for one in evidence if one.train_share == train_share]
        self.parts = [one for one in evidence if one.train_share != train_share]
        self.baseline = baseline.canonical()
        self.base = [one for one in self.whole if one.arch.canonical() == self.baseline]
        self.twins = [one for one in self.whole if kin.is_twin(one.arch, self.baseline)]

    def pairs(self, related: kin.Related, roles: tuple[str, str], others: Iterable[Evidence]) -> list[Pair]:
        """Archs that were trained on the whole split, by how they are related to others."""
        seconds = list(others)
        return [Pair(first, second, roles) for first in self.whole for second in seconds if related(first.arch, second.arch)]

    def kindred(self, related: kin.Related, roles: tuple[str, str], shared: Callable[[Arch], Hashable]) -> list[Pair]:
        """Archs that were trained on the whole split, by how they are related to each other.

        Args:
            related: How.
            roles: What each stands for.
            shared: What archs have in common that are so related: of thousands, few need to be compared.
        """
        groups: defaultdict[Hashable, list[Evidence]] = defaultdict(list)
        for one in self.whole:
            groups[shared(one.arch)].append(one)
        return [
            Pair(first, second, roles) for first in self.whole for second in groups[shared(first.arch)] if related(first.arch, second.arch)
        ]

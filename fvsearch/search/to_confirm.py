"""What of a study is to be confirmed: the front, the baseline and archs asked for, in which order, and with which seeds."""

import itertools
from collections.abc import Sequence

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout
from fvsearch.fronts.posterior import posterior
from fvsearch.fronts.standing import Standing, front, ledger_standings
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.search.confirmations import Confirmation, confirmations
from fvsearch.study import Study
from fvsearch.training.segment import derive_seed


def wanted(ledger: Ledger, seeds: int, archs: Sequence[Arch], train_shares: Sequence[float]) -> list[Confirmation]:
    """What is to stand in the end, as records of trainings that have not begun; every arch's first seed before any's second.

    The front's points come first, those first whose place is least certain where the study has a posterior.
    """
    study, trials = ledger.study, {record.arch_hash: record for record in ledger.trials()}
    further = [arch.canonical() for arch in archs]
    baseline = study.baseline.canonical()
    whole = {arch.arch_hash: arch for arch in (*(member.trial.arch for member in _least_certain_first(ledger)), baseline, *further)}
    parts = {arch.arch_hash: arch for arch in (baseline, *further)}
    shares = [share for share in dict.fromkeys(train_shares) if share != study.data.train_share]
    targets = [(arch, study.data.train_share) for arch in whole.values()] + [(arch, share) for share in shares for arch in parts.values()]
    fresh = {key: _fresh_repeats(study, key, trials.get(key), seeds) for key in whole}
    return [
        Confirmation(
            arch=arch,
            layout=format_layout(arch, study.data.image_shape[:2]),
            arch_hash=arch.arch_hash,
            trial=trials[arch.arch_hash].number if arch.arch_hash in trials else None,
            repeat=fresh[arch.arch_hash][index],
            seed=derive_seed(study.seed, arch.arch_hash, fresh[arch.arch_hash][index]),
            train_share=share,
        )
        for index in range(seeds)
        for arch, share in targets
    ]


def is_confirmed(ledger: Ledger) -> bool:
    """Whether all trainings stand that the study itself asks for, of the front as it is now."""
    asked = ledger.study.confirm
    stands = {one.key for one in confirmations(ledger)}
    return asked is None or all(one.key in stands for one in wanted(ledger, asked.seeds, asked.archs, asked.train_shares))


def _least_certain_first(ledger: Ledger) -> list[Standing]:
    """The front's points, and what was not observed there but is more likely than not on it, by how unsure that is.

    By the search's own trainings alone: the order stays while fresh ones come in.
    """
    found = ledger_standings(ledger)
    believed = posterior(ledger.study, found)
    if believed is None:
        return list(front(found))
    chances = {number: belief.on_front for number, belief in believed.trials.items() if belief.on_front is not None}
    members = [standing for standing in found if standing.place == "front" or chances.get(standing.number, 0.0) > 0.5]
    return sorted(members, key=lambda standing: abs(chances.get(standing.number, 1.0) - 0.5))


def _fresh_repeats(study: Study, arch_hash: str, trial: TrialRecord | None, count: int) -> list[int]:
    """The first repeats whose seeds had no part in the search; a trial that was imported may have had more repeats than the study has."""
    used = {repeat.seed for repeat in trial.repeats} if trial else set()
    fresh = (repeat for repeat in itertools.count(study.repeats) if derive_seed(study.seed, arch_hash, repeat) not in used)
    return list(itertools.islice(fresh, count))

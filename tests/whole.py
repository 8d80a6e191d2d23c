"""A small study of which a report has every section: all states, rungs, importance, fresh seeds, findings."""

from pathlib import Path

import msgspec
from confirmations import enter, fresh
from ledgers import EVERY_STATE, STUDY, TRIALS, Trial, arch, empty, fill

from fvsearch.ledger import Ledger
from fvsearch.study import Confirm, EarlyStopping, Objective

TWIN = arch("B2(17, h48, m96, a3)-2(9, h48, m96, a3)")
OTHERS = (
    Trial(layout="B2(17, h64, m64, a4)-1(9, h32, m128, a2)", top1=0.935, memory=8.5, predicted=8.4, throughput=2500),
    Trial(layout="B1(17, h64, m128, a4)-3(9, max, h48, m96, a3)", top1=0.945, memory=7.7, predicted=7.9, throughput=2450),
)


def whole(folder: Path) -> Ledger:
    """Its ledger."""
    study = msgspec.structs.replace(
        STUDY,
        objectives=(*STUDY.objectives, Objective(name="macs", direction="minimize")),
        early_stopping=EarlyStopping(rungs=(0.4,)),
        confirm=Confirm(archs=(TWIN, arch("B1(17, h32, m64, a2)-2(9, h32, m64, a2)"))),
    )
    ledger = enter(fill(empty(folder, study), (*TRIALS, *EVERY_STATE[6:8], *OTHERS)))
    for repeat, top1 in enumerate((0.955, 0.956, 0.957), start=1):
        for share in (1.0, 0.25):
            one = fresh(TWIN, top1, repeat, share)
            ledger.write(one.key, one)
    return ledger

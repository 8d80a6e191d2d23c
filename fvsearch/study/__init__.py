"""A study's records: what is searched, on which data, by which recipe, under which budget, for which objectives.

study           Study; here by name, as are Data, Objective, Proposer, EarlyStopping and Confirm
data            where images come from, their shape, their splits
recipe          how a model is trained; augmentation is a part of it
budgets         what an arch may use, and how far costs are from it
objectives      what is turned up or down
proposer        which engine proposes archs, and its settings
early_stopping  the rungs at which a trial may end
confirm         what is trained again after the search
resources       what a worker is to have of a Ray cluster
transfer        TransferStudy: archs pre-trained, then fine-tuned as one another
"""

from fvsearch.study.confirm import MOST_SEEDS, Confirm
from fvsearch.study.data import Data, require_patches
from fvsearch.study.early_stopping import EarlyStopping
from fvsearch.study.objectives import CHANCE, LEARNED, Direction, Objective, ObjectiveName
from fvsearch.study.proposer import EngineName, Oracle, Proposer, Sampler
from fvsearch.study.resources import require_resources
from fvsearch.study.study import Study

__all__ = [
    "CHANCE",
    "LEARNED",
    "MOST_SEEDS",
    "Confirm",
    "Data",
    "Direction",
    "EarlyStopping",
    "EngineName",
    "Objective",
    "ObjectiveName",
    "Oracle",
    "Proposer",
    "Sampler",
    "Study",
    "require_patches",
    "require_resources",
]

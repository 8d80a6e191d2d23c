"""A study's records: what is searched, on which data, by which recipe, under which budget, for which objectives.

study          Study, Data, Objective, Proposer, EarlyStopping, Confirm: here by name
recipe         how a model is trained; augmentation is a part of it
budgets        what an arch may use, and how far costs are from it
transfer       TransferStudy: archs pre-trained, then fine-tuned as one another
"""

from fvsearch.study.study import (
    CHANCE,
    LEARNED,
    Confirm,
    Data,
    Direction,
    EarlyStopping,
    EngineName,
    Objective,
    ObjectiveName,
    Oracle,
    Proposer,
    Sampler,
    Study,
    require_patches,
    require_resources,
)

__all__ = [
    "CHANCE",
    "LEARNED",
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

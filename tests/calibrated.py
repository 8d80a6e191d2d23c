"""Made-up measurements of a small study: the device's prices are known, so a calibration can be checked by hand."""

from collections.abc import Mapping

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout
from fvsearch.calibrating.fit import fit_calibration
from fvsearch.calibrating.sample import designed_sample
from fvsearch.costs.calibration import Calibration, Machine, Sampled
from fvsearch.costs.conditions import Conditions, Items, Prices, pattern
from fvsearch.library import load_study
from fvsearch.meters.measured import Anchor
from fvsearch.study import Study

STUDY = load_study("quickstart")
CONDITIONS = Conditions.of(STUDY, "jax")
MACHINE = Machine(device="none", processor="", cores=0, threads={}, versions={"fvsearch": "1", "keras": "2", "jax": "3"})

MEMORY: Prices = {"constant": 1e5, "num_params": 20.0, "attention_bytes": 1.5, "mlp_bytes": 1.2, "map_bytes": 2.0}
STEP_TIME: Prices = {"constant": 1e-3, "blocks": 5e-4, "num_params": 1e-8, "macs": 1e-9, "maps": 1e-8}
"""What a device that the formula knows nothing of takes: bytes and seconds."""


def measured(archs: tuple[Arch, ...], study: Study = STUDY, half_width: float = 0.01, slower: Mapping[int, float] = {}) -> list[Sampled]:
    """What the device would answer.

    Args:
        archs: The baseline first.
        study: Whose conditions hold.
        half_width: Of each interval.
        slower: Factors of step time and memory, by index of the arch.
    """
    conditions = Conditions.of(study, "jax")
    items = [Items(conditions, arch) for arch in archs]
    seconds = [item.total(STEP_TIME) * slower.get(index, 1.0) for index, item in enumerate(items)]
    found = []
    for index, (arch, item) in enumerate(zip(archs, items, strict=True)):
        ratio = seconds[0] / seconds[index]
        found.append(
            Sampled(
                arch=arch,
                layout=format_layout(arch, conditions.image_shape[:2]),
                pattern=pattern(arch, conditions.image_shape),
                memory=round(item.total(MEMORY) * slower.get(index, 1.0)),
                throughput=conditions.batch_size / seconds[index],
                ratio=ratio,
                ratio_low=ratio * (1 - half_width),
                ratio_high=ratio * (1 + half_width),
            )
        )
    return found


def calibration(study: Study = STUDY, **changes: object) -> Calibration:
    """The calibration that the made-up device gives of a study; changes replace its fields."""
    found = fit_calibration(Conditions.of(study, "jax"), MACHINE, measured(designed_sample(study, 25), study))
    return msgspec.structs.replace(found, **changes)


def anchor(found: Calibration) -> Anchor:
    """What measuring the baseline on the made-up device gives, a Python version that no calibration is bound to among it."""
    return Anchor(
        throughput=1000.0,
        memory=found.sample[0].memory,
        memory_source="made up",
        device="none",
        seconds=1.0,
        backend="jax",
        versions={**MACHINE.versions, "python": "3.11.9"},
    )

"""TransferStudy: archs pre-trained, then each fine-tuned as each, with several seeds: tables 1 and 3 of the Funnel-ViT report."""

import itertools
from pathlib import Path
from typing import NamedTuple

from fvsearch.archs.arch import Arch
from fvsearch.errors import ConfigError
from fvsearch.records import Record, require_at_least, require_name
from fvsearch.study import Data, require_patches, require_resources
from fvsearch.study.recipe import Recipe

STUDY_FILE, ENDED = "study.toml", "ended"
"""Of a study's folder: the study, and a file for each training that has ended."""


class Training(Record, frozen=True, kw_only=True):
    """On what, and how, one of the two phases trains."""

    data: Data
    recipe: Recipe

    def __post_init__(self) -> None:
        self.recipe.augmentation.require_colors(self.data.channels)


class Way(NamedTuple):
    """One way from images to a fine-tuned model.

    Attributes:
        pretrained: Name of the arch that is pre-trained.
        finetuned: Name of the arch that starts from its weights.
    """

    pretrained: str
    finetuned: str


class Published(Record, frozen=True, kw_only=True):
    """What somebody published of a way, to stand beside what the study finds.

    Attributes:
        pretrained, finetuned: The way.
        train_top1, top1: Of the training and the validation split, as shares of 1.
    """

    pretrained: str
    finetuned: str
    train_top1: float
    top1: float


class TransferStudy(Record, frozen=True, kw_only=True):
    """Every way of pre-training one arch and fine-tuning it as another.

    Attributes:
        name: Also of the folder, unless another is given.
        description: One line for `fvsearch list`.
        archs: By the name that the report gives them; the first, pre-trained and fine-tuned, is what the others are compared with.
        pretraining: From fresh weights.
        finetuning: From the weights of a pre-training with the same seed's index; its images may be larger.
        seeds: Pre-trainings of each arch, and fine-tunings of each way.
        seed: Every other seed comes from it.
        published: Numbers of others, beside which the report sets the study's own.
        source: Where those are from.
        resources: As a Study's.
    """

    name: str
    description: str = ""
    archs: dict[str, Arch]
    pretraining: Training
    finetuning: Training
    seeds: int = 3
    seed: int = 0
    published: tuple[Published, ...] = ()
    source: str = ""
    resources: dict[str, float] = {}

    def __post_init__(self) -> None:
        require_resources(self.resources)
        require_at_least(1, self, "seeds")
        require_at_least(0, self, "seed")
        if not self.archs:
            raise ConfigError("`archs` must name at least one arch, but it is empty")
        for name in (self.name, *self.archs):
            require_name(name)
        for arch in self.archs.values():
            for phase in (self.pretraining, self.finetuning):
                require_patches(arch.patch_size, phase.data)
        channels = (self.pretraining.data.channels, self.finetuning.data.channels)
        if channels[0] != channels[1]:
            raise ConfigError(f"both phases must have images of as many channels, but got {channels[0]} and {channels[1]}")
        for index, known in enumerate(self.published):
            unknown = [name for name in (known.pretrained, known.finetuned) if name not in self.archs]
            if unknown:
                raise ConfigError(f"a published way must be of the study's archs, but got {unknown[0]!r} at published[{index}]")

    @property
    def ways(self) -> tuple[Way, ...]:
        """Every pair of archs; the first is the first arch twice."""
        return tuple(Way(*pair) for pair in itertools.product(self.archs, repeat=2))

    @property
    def num_runs(self) -> int:
        """Trainings of the whole study."""
        return self.seeds * (len(self.archs) + len(self.ways))


def is_transfer_folder(folder: Path) -> bool:
    """Whether a folder is a transfer study's."""
    return (folder / STUDY_FILE).is_file() and (folder / ENDED).is_dir()

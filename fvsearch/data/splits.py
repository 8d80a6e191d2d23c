"""Disjoint, stratified, seeded splits: the same on every machine and in every process."""

import math
from typing import TYPE_CHECKING, TypeVar

from fvsearch.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Indices = NDArray[np.int64]
    Labels = NDArray[np.int32]

T = TypeVar("T")

SPLIT_NAMES = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
"""What folders and files call splits, and we."""


def split_indices(labels: "Labels", num_classes: int, shares: tuple[float, ...], seed: int) -> "tuple[Indices, ...]":
    """Indices of the images each share gets, then of the rest; each is sorted.

    A share is of all images, rounded up. Classes keep their proportions, to one image each.

    Args:
        labels: (images,).
        num_classes: Every one must have an image for each split.
        shares: Between 0 and 1; 0 gets none.
        seed: The same seed gives the same split.

    Raises:
        ConfigError: A class has fewer images than there are splits, or a split fewer images than there are classes.
    """
    import numpy as np
    from sklearn.model_selection import train_test_split

    num_splits = sum(share > 0 for share in shares) + 1
    _require_each_class(labels, num_classes, num_splits)
    rest = np.arange(len(labels))
    taken = []
    for share in shares:
        count = math.ceil(share * len(labels) - 1e-9)
        if share > 0 and not num_classes <= count <= len(rest) - num_classes:
            raise ConfigError(
                f"every split must hold an image of each of the {num_classes} classes, but a share of {share:g} of {len(labels)} images is "
                f"{count}; give more images or change the shares data.validation and data.test"
            )
        part = rest[:0]
        if share > 0:
            rest, part = train_test_split(rest, test_size=count, stratify=labels[rest], random_state=seed)
        taken.append(np.sort(part))
    return (*taken, np.sort(rest))


def share_indices(labels: "Labels", share: float, seed: int) -> "Indices":
    """Sorted indices of a share of the images: of each class as many, rounded, and at least one.

    A smaller share is part of a larger one: a class is shuffled once, whatever the share, and its first images are taken.

    Args:
        labels: (images,).
        share: Above 0, at most 1.
        seed: The same seed gives the same images.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    taken = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        taken.append(members[: max(1, round(share * len(members)))])
    return np.sort(np.concatenate(taken))


def own_splits(found: dict[str, T]) -> T | dict[str, T]:
    """A source's own splits as a search takes them.

    Where there is no test split of labelled images, validation is it, as in ImageNet: a search then validates on a share of train, and
    what is published as validation is read once, at the end. Train alone is everything, to be split by shares.

    Args:
        found: By name; train is there.
    """
    if "test" not in found and "validation" in found:
        return {"train": found["train"], "test": found["validation"]}
    return found if "test" in found else found["train"]


def _require_each_class(labels: "Labels", num_classes: int, least: int) -> None:
    import numpy as np

    counts = np.bincount(labels, minlength=num_classes)
    rarest = int(counts.argmin())
    if counts[rarest] < least:
        raise ConfigError(
            f"every class must have at least {least} images to be in each of {least} splits, but class {rarest} has {counts[rarest]}; "
            "give more images, or mend data.num_classes"
        )

"""folder:PATH: images in class folders, PATH/CLASS/*.jpg, or in those of PATH/train, PATH/validation (or val) and PATH/test.

Classes are the folders' names in sorted order, images the files below them in sorted order. The first time, each file's header is read;
what is none of an image is left out of every split. A body that is broken shows when it is read (stored.py). Pillow alone is needed.
"""

import os
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

from fvsearch.data.decoding import UnreadableError, open_image
from fvsearch.data.indexes import Stamp, Tell, counted, file_stamp, kept_index, silent
from fvsearch.data.paths import named_path, shown_name
from fvsearch.data.problems import Problems
from fvsearch.data.splits import SPLIT_NAMES, own_splits
from fvsearch.data.stored import StoredImages, StoredOptions, require_levels
from fvsearch.errors import ConfigError
from fvsearch.records import from_builtins
from fvsearch.study import Data

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2", ".avif"}
"""Of what counts as an image, in small or capital letters; other files are passed over."""

THREADS = 8
"""That read headers: a disk answers several questions at once."""

CHUNK = 64
"""Headers that a thread reads at a time."""

SHOWN = 12
"""Folders that an error lists."""

Verdict = tuple[Stamp, str]
"""The file's stamp, and why it cannot be read, or nothing."""

Verdicts = dict[str, Verdict]
"""By path in the folder."""

KeptVerdicts = dict[bytes, Verdict]
"""The same as they are kept: to a disk a path is bytes, which need be no text."""

NO_FILE: Stamp = (0, 0)
"""No file's stamp."""


class Files(NamedTuple):
    """A store of files.

    Attributes:
        folder: Where they lie.
        paths: (images,), each in the folder.
    """

    folder: Path
    paths: list[str]

    def open(self, number: int) -> Path:
        """The file's path."""
        return self.folder / self.paths[number]

    def name(self, number: int) -> str:
        """The file's path in the folder."""
        return shown_name(self.paths[number])


def check_folder(data: Data) -> None:
    """The law that there are as many class folders as the record says, an image in each; no image is opened.

    Raises:
        ConfigError: It does not hold.
    """
    _options(data)
    require_levels(data)
    folder = _path(data)
    for name, root in _roots(folder).items():
        classes = _class_folders(root)
        if name in ("", "train"):
            _require_classes(classes, data)
            expected = classes
        elif unknown := sorted(set(classes) - set(expected)):
            raise ConfigError(
                f"the classes of each split of {data.source!r} must be among those of {folder / 'train'}, but {root} has "
                f"{_listed(unknown)}; mend the folders' names"
            )
        if name in ("", "train") and (empty := [each for each in classes if next(_files(root / each), None) is None]):
            raise ConfigError(
                f"every class folder of {data.source!r} must hold an image ({', '.join(sorted(SUFFIXES))}), but none is in "
                f"{_listed(empty)}; take it away or mend data.source"
            )


def folder_classes(data: Data) -> tuple[str, ...]:
    """The class folders' names, by label.

    Raises:
        ConfigError: There is no such folder.
    """
    return tuple(_class_folders(next(iter(_roots(_path(data)).values()))))


def read_folder(data: Data, tell: Tell = silent) -> StoredImages | dict[str, StoredImages]:
    """All images, or those of the folder's own splits; headers that have not been read yet are read.

    Raises:
        ConfigError: The folder breaks a law.
    """
    check_folder(data)
    folder = _path(data)
    roots = _roots(folder)

    def update(kept: KeptVerdicts | None) -> KeptVerdicts:
        known = {os.fsdecode(path): verdict for path, verdict in (kept or {}).items()}
        return {os.fsencode(path): verdict for path, verdict in _verdicts(folder, roots, known, data.source, tell).items()}

    verdicts = {os.fsdecode(path): verdict for path, verdict in kept_index(f"folder {folder}", KeptVerdicts, update).items()}
    problems = Problems({shown_name(path): reason for path, (_, reason) in verdicts.items() if reason})
    good = [path for path, (_, reason) in verdicts.items() if not reason]
    classes = {name: label for label, name in enumerate(_class_folders(next(iter(roots.values()))))}
    found = {name: _images(folder, root, good, classes, problems, data) for name, root in roots.items()}
    return found[""] if "" in found else own_splits(found)


def _images(folder: Path, root: Path, good: list[str], classes: dict[str, int], problems: Problems, data: Data) -> StoredImages:
    """The good images below a folder of class folders."""
    import numpy as np

    inside = "" if root == folder else f"{root.name}/"
    paths = [path for path in good if path.startswith(inside)]
    labels = np.array([classes[path.removeprefix(inside).partition("/")[0]] for path in paths], np.int32)
    return StoredImages(Files(folder, paths), labels, data.image_shape, central=_options(data).central, problems=problems)


def _options(data: Data) -> StoredOptions:
    return from_builtins(data.options, StoredOptions, source="data.options")


def _path(data: Data) -> Path:
    named = data.source.removeprefix("folder:")
    folder = named_path(named, "data.source")
    if not named:
        raise ConfigError("the data source 'folder:' must name a folder of class folders; write folder:PATH, or folder:. for this one")
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "is not there"
        raise ConfigError(f"the data source {data.source!r} must name a folder of class folders, but {folder.absolute()} {what}")
    return folder.resolve()


def _roots(folder: Path) -> dict[str, Path]:
    """Folders of class folders by split; under "" the folder itself, where it has no splits of its own. Train is the first.

    It has where train holds folders, and stands alone or beside another split: a class may be called train.
    """
    inside = _class_folders(folder)
    splits = [name for name in inside if name in SPLIT_NAMES]
    if "train" not in splits or (len(splits) == 1 and len(inside) > 1) or not _class_folders(folder / "train"):
        return {"": folder}
    if {"validation", "val"} <= set(splits):
        raise ConfigError(f"a folder must have one validation split, but {folder} has validation and val; take one away")
    return {SPLIT_NAMES[name]: folder / name for name in SPLIT_NAMES if name in inside}


def _class_folders(root: Path) -> list[str]:
    names = sorted(entry.name for entry in os.scandir(root) if not entry.name.startswith(".") and Path(entry.path).is_dir())
    for name in names:
        if shown_name(name) != name:
            raise ConfigError(
                f"a folder below {root} must have a name of printable text, for a class is called so, but got {name!r}; rename it"
            )
    return names


def _require_classes(classes: list[str], data: Data) -> None:
    if len(classes) != data.num_classes:
        raise ConfigError(
            f"data.num_classes must be the number of class folders, but got {data.num_classes}, and {data.source!r} has {len(classes)}"
            f"{f': {_listed(classes)}' if classes else ''}"
        )


def _listed(names: list[str]) -> str:
    return ", ".join([*names[:SHOWN], *([f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else [])])


def _files(root: Path) -> Iterator[Path]:
    """The images below a folder, in any depth; sorted within a folder."""
    for place, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."))


def _verdicts(folder: Path, roots: dict[str, Path], known: Verdicts, source: str, tell: Tell) -> Verdicts:
    """A verdict on every image, split by split and class by class; only files that are new or changed are opened."""
    paths = [
        path.relative_to(folder).as_posix() for root in roots.values() for name in _class_folders(root) for path in _files(root / name)
    ]
    with ThreadPool(THREADS) as threads:
        stamps = dict(zip(paths, threads.imap(lambda path: _stamp(folder / path), paths, CHUNK), strict=True))
        new = [path for path in paths if path not in known or known[path][0] != stamps[path]]
        verdicts = threads.imap(lambda path: _verdict(folder / path, stamps[path]), new, CHUNK)
        found = dict(zip(counted(new, f"checking {source}", tell, of="images"), verdicts, strict=True))
    return {path: found[path] if path in found else known[path] for path in paths}


def _stamp(path: Path) -> Stamp:
    """Of a link to nothing, that of no file."""
    try:
        return file_stamp(path)
    except OSError:
        return NO_FILE


def _verdict(path: Path, stamp: Stamp) -> Verdict:
    """Whether the image can be read, as far as its header tells; what does not lie in the file is looked at again the next time."""
    if path.exists() and not path.is_file():
        return NO_FILE, "no file of bytes that end"  # a pipe, a device: who opened it might wait for ever
    try:
        open_image(path).close()
    except UnreadableError as error:
        return stamp if error.lasting else NO_FILE, str(error)
    return stamp, ""

"""A folder that holds a model, trained or imported, read back: what the model is, and the run that trained it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fvsearch.data import class_names
from fvsearch.errors import ConfigError
from fvsearch.library import apply_settings
from fvsearch.records import Record, from_builtins, from_toml, read_toml, to_builtins
from fvsearch.study import Data
from fvsearch.training.folder import RUN_FILE
from fvsearch.training.run import Run
from fvsearch.weights.card import CARD_FILE, MODEL_FILE, ModelCard, read_card


class Trained(NamedTuple):
    """A model's folder.

    Attributes:
        folder: As it was given.
        card: Of the model.
        run: That trained it; none of an imported model.
    """

    folder: Path
    card: ModelCard
    run: Run | None


class _OfData(Record, frozen=True, kw_only=True):
    """So that a mistake is told to be `at data`."""

    data: Data


def read_trained(folder: Path) -> Trained:
    """What a model's folder holds; the model itself stays on disk.

    Raises:
        ConfigError: There is no such folder, it holds no model, or the run that is to make it has not ended.
    """
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}; give one that `fvsearch train` or `fvsearch import` has made")
    if not (folder / MODEL_FILE).is_file() or not (folder / CARD_FILE).is_file():
        if (folder / "training.json").exists():
            again = f"fvsearch train {folder}" if (folder / RUN_FILE).exists() else "the command that began it"
            raise ConfigError(f"the training in {folder} has not ended, so there is no {MODEL_FILE} yet; `{again}` goes on with it")
        if (folder / "ledger.db").exists() or (folder / "storage.toml").exists():
            raise ConfigError(f"{folder} holds a study, and a model's folder is wanted; `fvsearch export {folder}` gives a run to train")
    card = read_card(folder)
    run = from_toml(folder / RUN_FILE, Run) if (folder / RUN_FILE).is_file() else None
    return Trained(folder, card, run)


def data_table(trained: Trained, source: str | None) -> dict[str, Any]:
    """The plain table of a Data record, to be completed by settings: the run's own, or another.

    Args:
        trained: Whose image size and channels hold, unless the table says others.
        source: A TOML file with a data set's table, by itself or as `[data]` of a run or study; or what `data.source` may be, such as
            "shapes"; none is the run's own data.

    Raises:
        ConfigError: The file cannot be read, or holds no table of data.
    """
    if source is None:
        table: dict[str, Any] = to_builtins(trained.run.data) if trained.run else {}
        return table
    height, width = trained.card.image_size
    own = {"image_size": height if height == width else [height, width], "channels": trained.card.channels}
    if not (source.endswith(".toml") or Path(source).is_file()):
        return {**own, "source": source}
    content = read_toml(Path(source))
    table = content.get("data", content)
    if not isinstance(table, dict) or "source" not in table:
        raise ConfigError(f"a data set's table must have the key `source`, by itself or in [data], but {source} has none")
    return {**own, **table}


def make_data(trained: Trained, table: dict[str, Any]) -> Data:
    """The Data record of a table; classes that it does not say are the class folders', or the model's.

    Raises:
        ConfigError: It says no source, or breaks a law.
    """
    if "source" not in table:
        raise ConfigError(
            f"{trained.folder} holds an imported model, which says nothing of data: give --data FILE.toml, or --data SOURCE such as "
            "folder:photos"
        )
    data = from_builtins(
        {"data": {"num_classes": trained.card.num_classes, **table}}, _OfData, source=f"the data for {trained.folder}"
    ).data
    if "num_classes" in table or (names := class_names(data)) is None:
        return data
    return from_builtins({"data": {**table, "num_classes": len(names)}}, _OfData, source=f"the data for {trained.folder}").data


def chosen_data(trained: Trained, source: str | None, settings: Sequence[str] = ()) -> Data:
    """The data that a model is to be evaluated on: the run's own, or another of the model's image shape and classes.

    Args:
        trained: The model.
        source: As for `data_table`.
        settings: `data.KEY=VALUE` on top.

    Raises:
        ConfigError: It is no data set, or of other images or classes than the model's.
    """
    content: dict[str, Any] = {"data": data_table(trained, source)}
    apply_settings(content, settings)
    data = make_data(trained, content.pop("data"))
    if content:
        raise ConfigError(f"a setting of an evaluation must be of `data`, but got {', '.join(content)}")
    wanted, found = (*trained.card.image_shape, trained.card.num_classes), (*data.image_shape, data.num_classes)
    if wanted != found:
        raise ConfigError(f"the data must be of the model's {_images(wanted)}, but got {_images(found)}; `fvsearch finetune` fits a model")
    return data


def _images(of: tuple[int, ...]) -> str:
    height, width, channels, classes = of
    return f"{height}x{width}x{channels} images and {classes} classes"

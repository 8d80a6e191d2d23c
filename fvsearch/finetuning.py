"""A trained or imported model as the start of another run: at another resolution, as another arch, on other data."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout, is_layout
from fvsearch.errors import ConfigError
from fvsearch.library import apply_settings, load_arch, load_recipe
from fvsearch.records import from_builtins, to_builtins
from fvsearch.study import Data
from fvsearch.study.recipe import Recipe
from fvsearch.training.run import Run
from fvsearch.training.trained import Trained, data_table, make_data, read_trained
from fvsearch.weights.pairs import pair_blocks

RECIPE = "vit-finetune"
"""Of a model that was imported: there is no run whose recipe it could have."""


def finetune_run(
    folder: Path,
    *,
    arch: str | None = None,
    image_size: int | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    data: str | None = None,
    settings: Sequence[str] = (),
) -> Run:
    """The run that trains a folder's model further. What is not said is as in the run that trained it.

    Args:
        folder: Of a run that has ended, or of an imported model.
        arch: A layout, a name or a TOML file; a layout's token counts are those at the new image size. The model's own unless said.
        image_size: Pixels per edge of the images.
        recipe: The name of one that ships, or a TOML file. For an imported model `vit-finetune` unless said.
        epochs: To train.
        data: A TOML file, or what `data.source` may be; an imported model needs it.
        settings: `key=value` on top of all these, such as `recipe.learning_rate=0.001`.

    Raises:
        ConfigError: The folder holds no finished model, the data are not said, patches do not tile the images, no weight but those of
            norms would come over, or a law is broken.
    """
    trained = read_trained(folder)
    content: dict[str, Any] = {
        "name": _name(trained, arch, image_size),
        "data": data_table(trained, data),
        "recipe": to_builtins(_recipe(trained, recipe)),
        "seed": trained.run.seed if trained.run else 0,
        "start": str(folder),
    }
    if image_size is not None:
        content["data"]["image_size"] = image_size
    if epochs is not None:
        content["recipe"]["epochs"] = epochs
    of_arch = [text for text in settings if text.partition(".")[0].strip() == "arch"]
    apply_settings(content, [text for text in settings if text not in of_arch])
    chosen = make_data(trained, content["data"])
    content["data"] = to_builtins(chosen)
    content["arch"] = to_builtins(_arch(trained, arch, chosen))
    apply_settings(content, of_arch)
    content["evidence"] = {"finetuned_from": _evidence(trained)}
    run = from_builtins(content, Run, source=f"the run that fine-tunes {folder}")
    _require_fit(trained, run)
    return run


def _name(trained: Trained, arch: str | None, image_size: int | None) -> str:
    """Also of the folder, unless another is given: one for each arch and resolution, `pics-finetuned-as-vit-b16-384`."""
    name = _letters(trained.run.name if trained.run else trained.folder.resolve().name) or "model"
    as_arch = f"-as-{_letters(arch.removesuffix('.toml'))}" if arch else ""
    return f"{name}-finetuned{as_arch}{f'-{image_size}' if image_size else ''}"


def _letters(text: str) -> str:
    """What of a text can stand in a name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-._")


def _recipe(trained: Trained, source: str | None) -> Recipe:
    if source is None and trained.run is not None:
        return trained.run.recipe
    return load_recipe(source or RECIPE)


def _arch(trained: Trained, source: str | None, data: Data) -> Arch:
    """The arch to train. What a layout does not say, and the weights depend on, is the model's."""
    own = trained.card.arch
    if source is None:
        return own
    found = load_arch(source, patch_size=own.patch_size, image_size=data.image_size)
    if not is_layout(source):
        return found
    return msgspec.structs.replace(found, activation=own.activation, norm_epsilon=own.norm_epsilon)


def _require_fit(trained: Trained, run: Run) -> None:
    """The law that the patches' weights or a block's come over: else the training is one from scratch, and hours later says so.

    Raises:
        ConfigError: None does.
    """
    card, own, new = trained.card, trained.card.arch.stages, run.arch.stages
    is_same_patch = (card.arch.patch_size, card.channels) == (run.arch.patch_size, run.data.channels)
    pairs = pair_blocks([stage.depth for stage in own], [stage.depth for stage in new])
    if (is_same_patch and own[0].width == new[0].width) or any(
        own[theirs].width == new[ours].width for (ours, _), (theirs, _) in pairs.items()
    ):
        return
    layouts = (format_layout(arch, size) for arch, size in ((card.arch, card.image_size), (run.arch, run.data.image_shape[:2])))
    raise ConfigError(
        f"an arch to fine-tune must have some of the model's widths, but none of the weights of {' fits '.join(layouts)}; "
        "give another --arch, or train this one from scratch by `fvsearch train`"
    )


def _evidence(trained: Trained) -> dict[str, Any]:
    """What is known of the start, in plain values."""
    card = trained.card
    known = {"source": card.source, "layout": format_layout(card.arch, card.image_size), "image_size": list(card.image_size)}
    validation = card.evidence.get("validation")
    return {**known, "validation": validation} if validation else known

"""What `fvsearch cost` says: an arch's predicted costs, itemised, and beside another's."""

from typing import TYPE_CHECKING, Any

from fvsearch.archs.arch import Arch
from fvsearch.archs.layout import format_layout, stage_tokens
from fvsearch.costs.cost import Cost
from fvsearch.costs.formula import predict
from fvsearch.library import load_arch
from fvsearch.units import show_bytes, show_count

if TYPE_CHECKING:
    from rich.table import Table

TOTALS = ("num_params", "macs", "flops", "activations", "memory")
PART_FIELDS = ("part", "stage", "num_params", "macs", "activations", "activation_bytes")


def cost_document(
    arch: str,
    against: str | None,
    *,
    image_size: int,
    patch_size: int,
    channels: int,
    classes: int,
    batch_size: int,
    dtype: Any,
    phase: Any,
    optimizer: Any,
    attention: Any,
) -> dict[str, Any]:
    """An arch's costs by formula as plain values, ready for JSON.

    `macs` and `flops` are of one image's forward pass, `memory` is bytes at the peak of a step of `batch_size` images, an item's its share
    of them; an item's `activation_bytes` are of one image, before the device's factor. With `against`, `ratio` is this arch over the
    other; its `throughput` is the inverse of that of the macs.

    Raises:
        ConfigError: An arch does not read or does not fit the image, or a setting is out of its range.
    """

    def describe(source: str) -> dict[str, Any]:
        found = load_arch(source, patch_size=patch_size, image_size=image_size)
        shape = (image_size, image_size, channels)
        return _describe(found, shape, predict(found, image_shape=shape, num_classes=classes, **settings))

    settings = {"batch_size": batch_size, "dtype": dtype, "phase": phase, "optimizer": optimizer, "attention": attention}

    document: dict[str, Any] = {
        "source": "formula",
        "image_size": image_size,
        "channels": channels,
        "classes": classes,
        **settings,
        "arch": describe(arch),
    }
    if against:
        document["against"] = describe(against)
        ratio = {name: document["arch"][name] / document["against"][name] for name in TOTALS}
        document["ratio"] = ratio | {"throughput": 1 / ratio["macs"]}
    return document


def _describe(arch: Arch, image_shape: tuple[int, int, int], cost: Cost) -> dict[str, Any]:
    return {
        "layout": format_layout(arch, image_shape[:2]),
        "patch_size": arch.patch_size,
        "arch_hash": arch.arch_hash,
        "tokens": list(stage_tokens(arch, image_shape)),
        **cost.totals(),
        "weight_memory": cost.weight_memory,
        "items": [{name: getattr(item, name) for name in PART_FIELDS} | {"memory": cost.memory_of(item)} for item in cost.items],
    }


def cost_table(document: dict[str, Any]) -> "Table":
    """The document as a table: one row an item, then totals, then the other arch and the ratio where there is one."""
    from rich.table import Table

    arch = document["arch"]
    table = Table(
        title=f"{arch['layout']}, patch {arch['patch_size']}, {document['image_size']} px",
        caption=(
            f"predicted by formula; macs of one image's forward pass; memory of {_step(document)} at batch {document['batch_size']}, "
            f"{document['dtype']}, attention {document['attention']}"
        ),
    )
    for name in ("part", "params", "macs", "activations", "memory"):
        table.add_column(name, justify="left" if name == "part" else "right", no_wrap=True)
    for item in arch["items"]:
        where = item["part"] if item["stage"] is None else f"stage {item['stage']} {item['part']}, {arch['tokens'][item['stage']]} tokens"
        table.add_row(
            where, show_count(item["num_params"]), show_count(item["macs"]), show_count(item["activations"]), show_bytes(item["memory"])
        )
    table.add_section()
    table.add_row("total", *_totals(arch))
    if "against" in document:
        table.add_row(f"{document['against']['layout']}", *_totals(document["against"]))
        ratio = document["ratio"]
        table.add_row("ratio", *(f"{ratio[name]:.3f}x" for name in ("num_params", "macs", "activations", "memory")))
        table.caption = f"{table.caption}\nimages/s, as the macs predict: {ratio['throughput']:.2f}x"
    return table


def _step(document: dict[str, Any]) -> str:
    """What the memory is of, such as `training by adamw`."""
    return f"training by {document['optimizer']}" if document["phase"] == "training" else "inference"


def _totals(arch: dict[str, Any]) -> tuple[str, ...]:
    return show_count(arch["num_params"]), show_count(arch["macs"]), show_count(arch["activations"]), show_bytes(arch["memory"])

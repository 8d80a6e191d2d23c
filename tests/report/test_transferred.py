"""What a transfer study's report says, of trainings that are computed."""

import io
import json
import math
import re
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from scipy import stats
from transfers import MEANS, STUDY, ScriptedPool, spread

from fvsearch.report import transferred_view
from fvsearch.report.transferred import Transferred, summarise_transfer
from fvsearch.search import workers
from fvsearch.search.transferring import run_transfer
from fvsearch.search.workers import RunSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("transfer") / "<b>"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "make_pool", lambda *ignored, **options: ScriptedPool())
        run_transfer(STUDY, made, RunSettings(backend="jax", workers=2))
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> Transferred:
    return summarise_transfer(folder)


def test_means_and_intervals_are_over_seeds(found: Transferred) -> None:
    reach = stats.t.ppf(0.975, 2) * spread() / math.sqrt(3)
    for way in found.ways:
        mean = way.means["top1"]
        assert way.seeds == 3
        assert mean.value == pytest.approx(MEANS[f"{way.pretrained}-as-{way.finetuned}"])
        assert (mean.low, mean.high) == pytest.approx((mean.value - reach, mean.value + reach))
        assert way.means["test_top1"].value == pytest.approx(mean.value - 0.02)
        assert way.means["train_top1"].value == pytest.approx(mean.value + 0.1)
    assert [row.means["top1"].value for row in found.archs] == pytest.approx([MEANS["ViT"], MEANS["Funnel"]])


def test_differences_are_to_the_first_way_and_have_a_verdict(found: Transferred) -> None:
    ways = {(way.pretrained, way.finetuned): way for way in found.ways}
    assert ways["ViT", "ViT"].differs is None
    above = ways["Funnel", "ViT"]
    assert above.differs and above.differs.value == pytest.approx(0.05)
    assert (above.verdict, above.agrees) == ("found", "found"), "published as above, too"
    assert above.published_differs == pytest.approx(0.005)
    below = ways["ViT", "Funnel"]
    assert (below.verdict, below.agrees) == ("not found", "found"), "below, as published"
    same = ways["Funnel", "Funnel"]
    assert same.differs and same.differs.value == pytest.approx(0)
    assert (same.verdict, same.published, same.agrees) == ("tie", None, None)


def test_what_is_published_as_below_and_comes_out_above_is_not_found(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text((folder / "study.toml").read_text().replace("top1 = 0.715", "top1 = 0.705"))
    (tmp_path / "ended").symlink_to(folder / "ended")
    way = next(way for way in summarise_transfer(tmp_path).ways if (way.pretrained, way.finetuned) == ("Funnel", "ViT"))
    assert (way.verdict, way.agrees) == ("found", "not found")


def test_costs_are_of_both_phases(found: Transferred) -> None:
    vit, funnel = found.archs
    assert vit.costs and funnel.costs
    assert [cost.memory_ratio for cost in funnel.costs] == [0.5, 0.5]
    assert [cost.steps.value for cost in vit.costs] == [10.0, 10.0], "320 images/s at a batch of 32"
    assert funnel.costs[0].steps_ratio.value == 2.0
    assert vit.layouts == ("B2(17, h16, m32, a2)", "B2(37, h16, m32, a2)")


def test_curves_are_means_over_seeds(found: Transferred) -> None:
    assert found.ways[0].curve == pytest.approx((MEANS["ViT-as-ViT"],))


def text(renderable: object) -> str:
    console = Console(width=260, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def test_the_table_holds_the_numbers_beside_the_published_ones(found: Transferred) -> None:
    shown = text(transferred_view.transfer_table(found))
    assert "Funnel, then ViT: above" in shown
    row = next(line for line in shown.splitlines() if line.startswith("│ Funnel, then ViT"))
    for cell in ("75.0% ± 1.0%", "+5.0 points (", "above", "73.0% ± 1.0%", "71.50% (+0.50)", "found"):
        assert cell in row
    assert "1.00 MiB (1.00x)" in shown
    assert "20 steps/s (2.00x)" in shown


def test_the_page_needs_nothing_else_and_escapes_what_the_user_named(found: Transferred, folder: Path) -> None:
    path = transferred_view.write_transfer_report(found, folder)
    visible = path.read_text().partition("<script")[0]
    assert "&lt;b&gt;" in visible
    assert "<b>" not in visible
    assert "http" not in visible.replace("http-equiv", "")
    assert "71.50% (+0.50)" in visible and "+5.0 points" in visible
    document = json.loads((folder / "transfer.json").read_text())
    assert document["ways"][2]["agrees"] == "found"
    figures = json.loads(path.read_text().partition('id="figures">')[2].partition("</script>")[0])
    assert figures["differences"]["data"][0]["x"] == pytest.approx([-1.0, 5.0, 0.0])


def test_an_unfinished_study_says_so(folder: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    (half / "ended").mkdir(parents=True)
    (half / "study.toml").write_bytes((folder / "study.toml").read_bytes())
    for name in ("ViT-seed0", "ViT-as-ViT-seed0"):
        (half / "ended" / f"{name}.json").write_bytes((folder / "ended" / f"{name}.json").read_bytes())
    found = summarise_transfer(half)
    shown = text(transferred_view.transfer_table(found))
    assert "2 of 18 trainings ended; the same command goes on." in shown
    assert transferred_view.render(found)
    assert found.ways[0].means["top1"].low is None, "one seed has no interval"


def test_the_plan_says_what_would_be_trained() -> None:
    shown = text(transferred_view.plan_table(STUDY))
    assert "18 trainings in all; nothing was trained." in shown
    assert "12x12x1" in shown


def test_a_step_is_predicted_as_the_device_takes_it() -> None:
    def memory(parts: int) -> float:
        recipe = msgspec.structs.replace(STUDY.pretraining.recipe, accumulate=parts)
        pretraining = msgspec.structs.replace(STUDY.pretraining, recipe=recipe)
        plan = text(transferred_view.plan_table(msgspec.structs.replace(STUDY, pretraining=pretraining)))
        number, unit = re.findall(r"([0-9.]+) (KiB|MiB)", next(line for line in plan.splitlines() if "pre-training" in line))[0]
        return float(number) * {"KiB": 1, "MiB": 1024}[unit]

    assert 0 < memory(8) < memory(1) / 2

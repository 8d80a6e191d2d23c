"""The report as a reader sees it: drawn, legible, whole on a phone, and alone in the world."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from ledgers import TRIALS, Trial, empty, fill

from fvsearch.report.look import DARK, LIGHT
from fvsearch.report.page import write_report

OPEN = "document.querySelector('details').open = true"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def rgb(colour: str) -> str:
    """#0b5fc0 as a browser says it."""
    return "rgb({}, {}, {})".format(*(int(colour[at : at + 2], 16) for at in (1, 3, 5)))


def test_it_loads_nothing_and_complains_of_nothing(open_report: Any, report: Path) -> None:
    opened = open_report(report)
    opened.page.wait_for_load_state("networkidle")
    assert opened.requests == []
    assert opened.complaints == []


def test_it_could_not_load_anything_if_it_tried(open_report: Any, report: Path) -> None:
    opened = open_report(report)
    assert opened.ask("fetch('https://example.com').then(() => 'loaded', () => 'refused')") == "refused"
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)


def test_each_trial_is_a_mark_and_the_front_is_a_line(open_report: Any, report: Path) -> None:
    opened = open_report(report)
    # Four on the front, three dominated, the baseline, one infeasible as measured at the end, two that never trained.
    assert opened.ask("document.querySelectorAll('#plot-memory .scatterlayer .point').length") == 11
    assert opened.ask("document.querySelectorAll('#plot-throughput .scatterlayer .point').length") == 11
    assert opened.ask("document.querySelectorAll('#plot-memory .scatterlayer .js-line').length") == 1
    assert opened.ask("document.querySelectorAll('#plot-curves .scatterlayer .js-line').length") == 5
    assert opened.ask("document.querySelectorAll('#plot-hypervolume .scatterlayer .js-line').length") == 1


def test_the_legend_names_what_the_marks_are(open_report: Any, report: Path) -> None:
    opened = open_report(report)
    legend = opened.page.locator("#plot-throughput .legendtext").all_text_contents()
    assert set(legend) == {"front", "dominated (predicted)", "infeasible", "infeasible, not trained", "baseline"}


def test_axes_have_units_and_readable_ticks(open_report: Any, report: Path) -> None:
    opened = open_report(report)
    assert opened.page.locator("#plot-memory .xtitle").text_content() == "peak memory, MiB"
    assert opened.page.locator("#plot-throughput .xtitle").text_content() == "throughput, images/s"
    assert "2,000" in opened.page.locator("#plot-throughput .xtick").all_text_contents()
    # A tick's mark is an element too, without text.
    ticks = [text for text in opened.page.locator("#plot-memory .ytick").all_text_contents() if text]
    assert ticks
    assert all(text.endswith("%") for text in ticks)


def test_hovering_over_the_best_tells_its_layout_and_both_costs(open_report: Any, report: Path) -> None:
    opened = open_report(report)
    plot = opened.page.locator("#plot-memory")
    plot.scroll_into_view_if_needed()
    # The best of the front has the most memory of it: 8 MiB, 97.0%.
    at = opened.ask(
        """() => {
            const plot = document.getElementById("plot-memory"), box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
            return [box.x + xaxis._offset + xaxis.d2p(8), box.y + yaxis._offset + yaxis.d2p(0.97)];
        }"""
    )
    opened.page.mouse.move(*at)
    hover = opened.page.locator("#plot-memory .hoverlayer .hovertext")
    hover.wait_for()
    said = " ".join(hover.locator("tspan.line").all_text_contents())
    assert "trial 3 (front, best)" in said
    assert "B2(17, h48, m128, a3)-" in said
    assert "2(9, h48, m96, a3)" in said
    assert "measured 8.00 MiB (0.80x)" in said
    assert "predicted 2,400 images/s (1.20x)" in said


def test_the_table_shows_the_front_and_the_long_one_opens(open_report: Any, report: Path) -> None:
    opened = open_report(report)
    rows = opened.page.locator("#front tbody tr")
    assert rows.count() == 5
    assert "8.00 MiB" in rows.first.inner_text()
    long = opened.page.locator("#trials tbody tr")
    assert not long.first.is_visible()
    opened.page.locator("summary").click()
    assert long.first.is_visible()
    assert long.count() == len(TRIALS)


@pytest.mark.parametrize("width", [320, 390, 768])
def test_on_a_narrow_screen_nothing_sticks_out_and_nothing_is_tiny(width: int, open_report: Any, report: Path) -> None:
    opened = open_report(report, width=width, height=844, has_touch=True, is_mobile=True)
    opened.ask(OPEN)
    assert opened.ask(OVERFLOW) == 0
    plot = opened.page.locator("#plot-memory").bounding_box()
    assert plot["width"] > 0.8 * width or width == 768
    smallest = """Math.min(...[...document.querySelectorAll("main *")].filter(one => one.innerText).map(
        one => parseFloat(getComputedStyle(one).fontSize)))"""
    assert opened.ask(smallest) >= 12


@pytest.mark.parametrize("width", [320, 390, 768, 1200])
def test_with_every_section_nothing_sticks_out_and_every_figure_is_drawn(width: int, open_report: Any, whole_report: Path) -> None:
    opened = open_report(whole_report, width=width, height=844)
    opened.ask(OPEN)
    assert opened.complaints == []
    assert opened.ask(OVERFLOW) == 0
    sections = ("confirmed", "findings", "hypervolume", "curves", "rungs", "importance", "bill", "problems")
    assert opened.ask("[...document.querySelectorAll('main section')].map(one => one.getAttribute('aria-labelledby'))").count(None) == 1
    for section in sections:
        assert opened.page.locator(f"#title-{section}").count() == 1
    # A table may scroll in its own box on a narrow screen; a card never does.
    boxes = "[...document.querySelectorAll('.scroll:has(.cards)')].filter(box => box.scrollWidth > box.clientWidth).length"
    assert width == 768 or opened.ask(boxes) == 0


def test_two_plots_side_by_side_stand_on_one_line(open_report: Any, whole_report: Path) -> None:
    opened = open_report(whole_report, width=1200)
    for left, right in (("memory", "throughput"), ("hypervolume", "curves")):
        bottoms = [opened.ask(f"document.getElementById('plot-{name}').getBoundingClientRect().bottom") for name in (left, right)]
        assert abs(bottoms[0] - bottoms[1]) < 1


def test_on_a_phone_a_finger_scrolls_over_a_plot(open_report: Any, report: Path) -> None:
    opened = open_report(report, width=390, height=844, has_touch=True, is_mobile=True)
    assert opened.ask("document.getElementById('plot-memory')._fullLayout.dragmode") is False


@pytest.mark.parametrize(("scheme", "colours"), [("light", LIGHT), ("dark", DARK)])
def test_page_and_plots_follow_the_readers_colours(scheme: str, colours: dict[str, str], open_report: Any, report: Path) -> None:
    opened = open_report(report, color_scheme=scheme)
    assert opened.ask("getComputedStyle(document.querySelector('.headline')).color") == rgb(colours["ink"])
    assert opened.ask("getComputedStyle(document.querySelector('#plot-memory .scatterlayer .js-line')).stroke") == rgb(colours["front"])
    assert opened.ask("getComputedStyle(document.querySelector('#plot-memory .xtitle')).fill") == rgb(colours["soft"])


def test_the_plots_follow_when_the_colours_change(open_report: Any, report: Path) -> None:
    opened = open_report(report, color_scheme="light")
    opened.page.emulate_media(color_scheme="dark")
    stroke = f"getComputedStyle(document.querySelector('#plot-memory .scatterlayer .js-line')).stroke === '{rgb(DARK['front'])}'"
    opened.wait_for(stroke)


@pytest.mark.parametrize(
    "trials", [(), (TRIALS[11],), (TRIALS[0],), (TRIALS[6], TRIALS[12]), (TRIALS[7],)], ids=["empty", "running", "one", "over", "failed"]
)
def test_at_every_state_the_page_opens_without_complaint(trials: tuple[Trial, ...], open_report: Any, tmp_path: Path) -> None:
    opened = open_report(write_report(fill(empty(tmp_path), trials, quiet={})), width=390, height=844)
    assert opened.complaints == []
    assert opened.requests == []
    assert opened.ask(OVERFLOW) == 0
    assert opened.page.locator(".headline").inner_text()


def test_what_a_user_writes_does_not_run(open_report: Any, tmp_path: Path) -> None:
    attack = "<img src=x onerror=\"document.title='run'\"></script><script>document.title='run'</script>"
    harmful = (TRIALS[0], msgspec.structs.replace(TRIALS[6], reason=attack), msgspec.structs.replace(TRIALS[7], reason=attack))
    opened = open_report(write_report(fill(empty(tmp_path), harmful)))
    plot = "document.getElementById('plot-memory')"
    opened.page.locator("#plot-memory").scroll_into_view_if_needed()
    last = opened.ask(f"{plot}.data.findIndex(trace => trace.name === 'infeasible, not trained')")
    opened.ask(f"Plotly.Fx.hover({plot}, [{{curveNumber: {last}, pointNumber: 0}}], ['xy2'])")
    hover = opened.page.locator("#plot-memory .hoverlayer .hovertext")
    hover.wait_for()
    assert "onerror" in hover.text_content()
    assert opened.page.title() == "small: fvsearch report"
    assert opened.page.locator("img").count() == 0
    assert opened.complaints == []

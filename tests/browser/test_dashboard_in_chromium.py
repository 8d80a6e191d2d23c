"""A ledger in the real optuna-dashboard, as a reader sees it."""

import importlib.util
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
from ledgers import EVERY_STATE, QUIET, STUDY, fill
from playwright.sync_api import Browser, Page

from fvsearch.ledger import Ledger
from fvsearch.search.noting import note_measured

if importlib.util.find_spec("optuna_dashboard") is None:
    pytest.skip("the extra dashboard is not installed", allow_module_level=True)

PARETO = "document.getElementById('graph-pareto-front')"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a study with a trial of each state, served as README says."""
    folder = tmp_path_factory.mktemp("study")
    ledger = fill(Ledger.create(folder, STUDY), EVERY_STATE, quiet={0: QUIET[0], 1: QUIET[1]})
    note_measured(ledger, ledger.trials())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from optuna_dashboard._cli import main; sys.exit(main())"
    arguments = [f"sqlite:///{folder}/ledger.db", "--host", "127.0.0.1", "--port", str(port), "--quiet"]
    with subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.DEVNULL) as server:
        try:
            base = f"http://127.0.0.1:{port}"
            wait_for_answer(f"{base}/api/studies")
            yield f"{base}/dashboard/studies/1"
        finally:
            server.terminate()


def wait_for_answer(address: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            assert time.monotonic() < end, f"{address} does not answer"
            time.sleep(0.1)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 1600})
    yield context.new_page()
    context.close()


def test_the_plotted_front_is_ours_and_what_is_over_budget_is_apart(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_function(f"() => {PARETO}?.data?.some(trace => trace.x.length === 3)")
    named = page.evaluate(f"Object.fromEntries({PARETO}.data.map(trace => [trace.marker.colorbar?.title.text ?? '', [trace.x, trace.y]]))")
    assert named["Best Trial"] == [[0.9, 0.95, 0.97], [4 * 2**20, 6 * 2**20, 8 * 2**20]]
    assert named["Trial"] == [[], []], "feasible and not on the front"
    history = page.evaluate(
        "Object.fromEntries(document.getElementById('plot-history').data.map(trace => [trace.name, [trace.x, trace.y]]))"
    )
    assert history["Infeasible Trial of small"] == [[0], [0.99]]
    assert history["Best Value of small"][1][-1] == 0.97


def test_the_list_of_best_trials_and_the_objectives_names(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_text("Best Trials", exact=True).wait_for()
    titles = page.locator("h5").all_text_contents()
    assert [title for title in titles if title.startswith("Trial ")] == ["Trial 1", "Trial 2", "Trial 3"]
    assert page.get_by_text("memory (bytes)").first.is_visible()


def test_a_trials_page_fits_the_screen_and_reads(page: Page, address: str) -> None:
    page.goto(f"{address}/trials?numbers=1")
    page.get_by_text("stages.0.width 32").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    text = page.locator("body").inner_text()
    assert "B1(17, h32, m64, a2)-1(9, h32, m64, a2)" in text
    assert "4,100 images/s measured with nothing else running, 2.05x the baseline's" in text

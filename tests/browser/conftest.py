"""A headless Chromium, and the small study's report opened in it from a file."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledgers import empty, fill
from playwright.sync_api import Browser, Page, sync_playwright
from whole import whole

from fvsearch.report.page import write_report

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on the PATH, nor named by CHROMIUM; `nox -s report` says how to get one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(fill(empty(tmp_path_factory.mktemp("small"))))


@pytest.fixture(scope="session")
def whole_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With every section that a report can have."""
    return write_report(whole(tmp_path_factory.mktemp("whole")))


class Opened:
    """A report in a browser.

    Attributes:
        page: Playwright's.
        requests: Addresses that the page asked for, but for the file itself and what is inside it.
        complaints: Errors and warnings of the console.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, path: Path) -> "Opened":
        self.page.goto(path.as_uri())
        self.wait_for("[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.xtick'))")
        self.requests.remove(path.as_uri())
        self.requests = [address for address in self.requests if not address.startswith(("data:", "blob:"))]
        return self

    def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        return self.page.evaluate(script)

    def wait_for(self, script: str, seconds: float = 20.0) -> None:
        """Until the expression is true; Playwright's own way evaluates in the page, which the page's policy forbids."""
        end = time.monotonic() + seconds
        while not self.ask(script):
            assert time.monotonic() < end, f"not true within {seconds:g} s: {script}"
            time.sleep(0.05)


@pytest.fixture
def open_report(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Opens a report at a size and in a colour scheme; each time in a profile of its own."""
    contexts = []

    def open_at(path: Path, width: int = 1280, height: int = 900, **settings: Any) -> Opened:
        context = chromium.new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        return Opened(context.new_page()).open(path)

    yield open_at
    for context in contexts:
        context.close()

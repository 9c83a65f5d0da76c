"""Fixtures of the browser tests; without Chromium all of them are skipped."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from mlpsweep.report.data import load_report_data
from mlpsweep.report.report import render_report
from tests.browser import lab
from tests.hostile import hostile
from tests.pipeline.doors import mlflow_ui

WORDS = ("data=digits", "hidden_sizes=[32]", "learning_rate=0.1", "n_epochs=4")
SEARCH = ("search.n_trials=6", "winner.top_k=2", "winner.n_seeds=2")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = lab.chromium()
    if program is None:
        pytest.skip(f"none of {', '.join(lab.PROGRAMS)} is installed: apt-get install chromium")
    with lab.launched(program) as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    yield context
    context.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty page on the screen that the test's parameters ``width`` and ``scheme`` describe."""
    asked = request.node.callspec.params
    viewport = {"width": asked["width"], "height": 844}
    context = browser.new_context(viewport=viewport, color_scheme=asked["scheme"], locale="en-GB")
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def project(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep over three activations, a search, a winner and a report, on the digits."""
    folder = tmp_path_factory.mktemp("project")
    lab.fill(folder, *WORDS, search=SEARCH, baselines=("relu",))
    return folder


@pytest.fixture(scope="session")
def report_page(project: Path) -> Path:
    return project / "artifacts/digits/report/index.html"


@pytest.fixture(scope="session")
def hostile_page(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report with 5,000 trials, under names that are HTML and would run a script."""
    path = tmp_path_factory.mktemp("hostile") / "index.html"
    path.write_text(render_report(hostile(load_report_data(project / "artifacts/digits"), 5_000)))
    return path


@pytest.fixture(scope="session")
def mlflow_pages(project: Path) -> Iterator[str]:
    """The address of ``mlflow ui`` in the project."""
    with mlflow_ui(project) as address:
        yield address

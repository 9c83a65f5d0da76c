"""MLflow's own pages on a sweep: from the first page to the comparison of its runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import lab
from tests.browser.mlflow_pages import SLOW_MS, compare, open_experiment, row_of, unfold
from tests.pipeline.doors import tracked

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def comparison(browser: Browser, mlflow_pages: str, project: Path) -> Iterator[Page]:
    """The page that compares the sweep's runs, reached through the experiment, where they are one row that unfolds."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    page = context.new_page()
    open_experiment(page, mlflow_pages, "digits")
    parent, children = lab.family(project, "sweep")
    is_there(row_of(page, parent))
    for child in children:
        expect(row_of(page, child)).to_have_count(0)
    unfold(page, parent)
    for child, name in zip(children, lab.ACTIVATIONS, strict=True):
        expect(row_of(page, child)).to_contain_text(f"{name} 32 lr=0.1", timeout=SLOW_MS)
    compare(page, children)
    yield page
    context.close()


def is_there(*places: Locator) -> None:
    for place in places:
        expect(place).to_be_visible(timeout=SLOW_MS)


def test_a_sweeps_runs_are_compared_by_their_parameters(comparison: Page) -> None:
    is_there(comparison.get_by_text("Comparing 3 Runs from 1 Experiment"))
    values = {"activation": lab.ACTIVATIONS, "n_layers": ("2",) * 3, "learning_rate": ("0.1",) * 3}
    for name, wanted in values.items():
        row = comparison.get_by_role("row").filter(has=comparison.get_by_text(name, exact=True))
        is_there(row)
        assert sorted(row.inner_text().split()[1:]) == sorted(wanted)


def test_a_sweeps_runs_are_compared_by_their_metrics(comparison: Page, project: Path) -> None:
    for name in ("train/loss", "validation/accuracy", "validation/loss"):
        if name == "validation/loss":  # MLflow makes the rows that are in view only
            comparison.get_by_role("grid").last.hover()
            for step in (2000, -1, -1):  # the names follow the values one turn of the wheel later
                comparison.mouse.wheel(0, step)
                comparison.wait_for_timeout(500)
        is_there(comparison.get_by_role("link", name=name, exact=True))
        for child in lab.family(project, "sweep")[1]:
            where = f"run_uuid = '{child}' and key = '{name}'"
            ((value,),) = tracked(project, f"select value from latest_metrics where {where}")
            is_there(comparison.get_by_text(f"{value:.3f}".rstrip("0"), exact=True).first)


def test_a_sweeps_runs_are_drawn(comparison: Page) -> None:
    plot = comparison.locator(".js-plotly-plot").first
    is_there(plot)
    for name in ("activation", *lab.ACTIVATIONS):
        expect(plot).to_contain_text(name, timeout=SLOW_MS)

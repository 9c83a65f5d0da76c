"""The way through MLflow's pages from the first one to a comparison of runs, as a person with a mouse takes it."""

import re
from collections.abc import Iterable

from playwright.sync_api import Locator, Page

# On a busy machine a page takes its time.
SLOW_MS = 60_000
# A heading folds up slowly, and what is searched for meanwhile is not shown.
FOLDS_MS = 1000


def open_experiment(page: Page, address: str, name: str) -> None:
    """Choose model training on MLflow's first page, then an experiment."""
    page.set_default_timeout(SLOW_MS)
    page.goto(address)
    page.get_by_text("Model training", exact=True).click()
    page.get_by_role("link", name=name, exact=True).first.click()
    page.get_by_test_id("column-selection-dropdown").first.wait_for()


def row_of(page: Page, run_id: str) -> Locator:
    """Return a run's row in the table of runs."""
    return page.get_by_role("row").filter(has=page.locator(f"a[href$='/runs/{run_id}']"))


def unfold(page: Page, parent_id: str) -> None:
    """Show the children of a run."""
    row_of(page, parent_id).get_by_role("button").first.click()


def compare(page: Page, run_ids: Iterable[str]) -> None:
    """Select runs and open their comparison."""
    for run_id in run_ids:
        row_of(page, run_id).get_by_role("checkbox", name=re.compile("row selection")).check()
    page.get_by_test_id("runs-compare-button").click()
    page.wait_for_url("**/compare-runs?**")


def choose_columns(page: Page, hidden: Iterable[str], shown: Iterable[tuple[str, str]]) -> None:
    """Hide attributes in the table of runs, and show metrics and params, each given with the heading it is under."""
    page.get_by_test_id("column-selection-dropdown").first.click()
    tree = page.get_by_test_id("column-selector-tree")
    for name in hidden:
        tree.get_by_title(name, exact=True).click()
    for heading, name in shown:
        page.get_by_placeholder("Search columns").fill(name)
        rows = tree.locator("[class*='tree-treenode ']")
        title = page.get_by_title(re.compile(rf"^{heading} \("))
        fold = rows.filter(has=title).locator("[class*=tree-switcher]").first
        fold.click()
        # The search leaves longer names, too.
        rows.filter(has_text=re.compile(rf"^\s*{re.escape(name)}\s*$")).get_by_text(name).click()
        fold.click()
        page.wait_for_timeout(FOLDS_MS)
    page.keyboard.press("Escape")

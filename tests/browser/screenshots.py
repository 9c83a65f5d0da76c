"""Writes docs/images/{mlflow_runs,mlflow_compare,report,report_phone}.png: `make screenshots`, FOLDER=... for its runs.

Without a folder it makes a small run first, on MNIST if that can be had.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize

from mlpsweep.report.data import load_report_data
from mlpsweep.report.report import render_report
from pipeline.report import commands
from tests.browser import lab
from tests.browser.mlflow_pages import choose_columns, compare, open_experiment, unfold
from tests.pipeline.doors import ROOT, mlflow_ui, tracked

IMAGES = ROOT / "docs/images"
WORDS = ("hidden_sizes=[64,32]", "learning_rate=0.05", "n_epochs=4")
MNIST = Path("artifacts/mnist")
SEARCH = ("search.n_trials=8", "winner.top_k=2", "winner.n_seeds=2")
HIDDEN = ("Dataset", "Source", "Models")
SHOWN = (
    ("Metrics", "validation/accuracy"), ("Metrics", "validation/loss"), ("Parameters", "activation"),
    ("Parameters", "learning_rate"),
)  # fmt: skip
DESK: ViewportSize = {"width": 1280, "height": 800}
TALL: ViewportSize = {"width": 1280, "height": 1400}
PHONE: ViewportSize = {"width": 390, "height": 1400}
SETTLE_MS = 3000


def mlflow_pages(browser: Browser, folder: Path) -> None:
    """Take the search unfolded, and its complete trials compared."""
    parent, children = lab.family(folder, "search")
    (experiment,) = tracked(
        folder, f"select e.name from experiments e join runs using (experiment_id) where run_uuid = '{parent}'"
    )[0]
    with mlflow_ui(folder) as address:
        page = browser.new_page(viewport=DESK, locale="en-GB")
        open_experiment(page, address, experiment)
        page.get_by_role("button", name="Close", exact=True).click()
        choose_columns(page, HIDDEN, SHOWN)
        unfold(page, parent)
        save(page, "mlflow_runs")
        compare(page, children[:8])
        save(page, "mlflow_compare")


def report(browser: Browser, page_file: Path) -> None:
    """Take the report's beginning, on a desk and on a phone at night."""
    page = browser.new_page(viewport=TALL, color_scheme="light")
    page.goto(page_file.as_uri())
    save(page, "report")
    page = browser.new_page(viewport=PHONE, color_scheme="dark")
    page.goto(page_file.as_uri())
    save(page, "report_phone")


def save(page: Page, name: str) -> None:
    """Write what is in the window, when it has come to rest."""
    page.wait_for_timeout(SETTLE_MS)
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


def main(folder: Path | None) -> None:
    program = lab.chromium()
    if program is None:
        sys.exit(f"screenshots: none of {', '.join(lab.PROGRAMS)} is installed: apt-get install chromium")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, lab.launched(program) as browser:
        scratch = Path(name)
        if folder is None:
            lab.fill(scratch, *WORDS, search=SEARCH)
        else:  # the server may change the store: it gets a copy
            shutil.copy(folder / "mlflow.db", scratch)
        data = load_report_data((folder or scratch) / MNIST, commands=commands(MNIST))
        (scratch / "report.html").write_text(render_report(data))
        report(browser, scratch / "report.html")
        mlflow_pages(browser, scratch)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None)

"""The report at its limits: 5,000 trials, names that would run a script."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.hostile import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OPENS_WITHIN_S = 3
N_TRIALS = 5_000
MAX_BYTES = 10_000_000
# All texts of the page but those of script and style.
TEXT = "() => document.body.innerText + [...document.images].map((one) => one.alt).join('\\n')"


@pytest.fixture
def alerts() -> list[str]:
    """What the page alerts while it is open."""
    return []


@pytest.fixture
def hostile(context: BrowserContext, hostile_page: Path, alerts: list[str]) -> Page:
    page = context.new_page()
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    page.goto(hostile_page.as_uri(), wait_until="load")
    return page


def test_hostile_names_stay_text(hostile: Page, alerts: list[str]) -> None:
    assert hostile.locator("img:not([src^='data:image/png;base64,'])").count() == 0
    assert hostile.evaluate("[...document.querySelectorAll('*')].filter((one) => one.onerror).length") == 0
    assert hostile.title().endswith(HOSTILE)
    assert hostile.evaluate(TEXT).count(HOSTILE) > 2500
    assert alerts == []


def test_hostile_names_stay_text_after_sorting_and_filtering(hostile: Page, alerts: list[str]) -> None:
    header = hostile.locator("#trials th button", has_text=HOSTILE).first
    header.click()
    hostile.locator("#trials input").fill(HOSTILE)
    rows = hostile.locator("#trials tbody tr:visible").all_text_contents()
    assert 1000 < len(rows) < N_TRIALS
    assert all(HOSTILE in row for row in rows)
    assert hostile.locator("img:not([src^='data:image/png;base64,'])").count() == 0
    assert alerts == []


def test_5000_trials_are_filtered(hostile: Page) -> None:
    rows = hostile.locator("#trials tbody tr:visible")
    assert rows.count() == N_TRIALS
    hostile.locator("#trials input").fill("pruned RELU")
    expect(hostile.locator("#trials output")).not_to_have_text(f"{N_TRIALS} of {N_TRIALS} rows")
    shown = rows.all_text_contents()
    assert 0 < len(shown) < N_TRIALS
    assert all("pruned" in row and "relu" in row for row in shown)


def test_5000_trials_open_soon(context: BrowserContext, hostile_page: Path) -> None:
    assert hostile_page.stat().st_size < MAX_BYTES
    seconds = []
    for _ in range(3):  # the best of three is what the page takes, the rest is what else the machine does
        page = context.new_page()
        started = time.monotonic()
        page.goto(hostile_page.as_uri(), wait_until="load")
        page.evaluate("new Promise(requestAnimationFrame)")
        seconds.append(time.monotonic() - started)
        assert page.locator("#trials tbody tr").count() == N_TRIALS
        page.close()
    assert min(seconds) < OPENS_WITHIN_S, seconds

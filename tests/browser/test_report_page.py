"""The report in a browser: by keyboard, on small and wide screens, without a connection, without scripts."""

import io
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from matplotlib.image import imread
from playwright.sync_api import Browser, BrowserContext, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SCREENS = pytest.mark.parametrize(
    ("width", "scheme"), [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]
)
SMALLEST_TEXT_PX = 11
# What sticks out of the page, apart from what lies in a box that scrolls by itself.
STICKING_OUT = """() => [...document.querySelectorAll("body *")]
    .filter((one) => !one.closest(".scroll") && one.getBoundingClientRect().right > innerWidth + 0.5)
    .map((one) => `${one.tagName} ${one.textContent.slice(0, 40)}`)"""
# Font size and beginning of every text that takes room on the page.
TEXT_SIZES = """() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    while (walker.nextNode()) {
        const text = walker.currentNode, parent = text.parentElement;
        if (text.data.trim() && parent.getClientRects().length)
            found.push([parseFloat(getComputedStyle(parent).fontSize), text.data.trim().slice(0, 40)]);
    }
    return found;
}"""
# The smallest font in any figure is 8.25 points; a figure is made for 96 pixels an inch.
SMALLEST_FIGURE_TEXT_PX = 8.25 * 96 / 72
CHECKED = ["color-contrast", "image-alt"]
COLUMN = """(table, index) => [...table.tBodies[0].rows].map((row) => row.cells[index].textContent.trim())"""


@dataclass
class Visit:
    """An open page, with what it asked for and what it complained about."""

    page: Page
    asked: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@pytest.fixture
def visit(context: BrowserContext, report_page: Path) -> Visit:
    visit = Visit(context.new_page())
    visit.page.on("request", lambda request: visit.asked.append(request.url))
    visit.page.on("pageerror", lambda error: visit.faults.append(str(error)))
    visit.page.on("console", lambda message: visit.faults.append(message.text))
    visit.page.goto(report_page.as_uri())
    return visit


def test_it_opens_whole_and_asks_nobody(visit: Visit, report_page: Path) -> None:
    visit.page.wait_for_load_state("networkidle")
    assert [url for url in visit.asked if not url.startswith("data:")] == [report_page.as_uri()]
    assert visit.faults == []
    images = visit.page.locator("img")
    assert images.count() > 4
    assert images.evaluate_all("(all) => all.filter((one) => !one.naturalWidth || !one.alt).length") == 0


def test_every_section_is_reached_from_the_top(visit: Visit) -> None:
    links = visit.page.locator("nav a")
    names = links.evaluate_all("(all) => all.map((one) => one.hash.slice(1))")
    assert names == visit.page.locator("main section").evaluate_all("(all) => all.map((one) => one.id)")
    links.last.click()
    expect(visit.page.locator("main section").last).to_be_in_viewport()


def test_the_keyboard_goes_to_the_content_first(visit: Visit) -> None:
    visit.page.keyboard.press("Tab")
    expect(visit.page.locator(":focus")).to_have_text("Skip to content")
    expect(visit.page.locator(":focus")).to_be_in_viewport()
    visit.page.keyboard.press("Enter")
    assert visit.page.url.endswith("#content")


def test_tables_are_sorted_by_keyboard(visit: Visit) -> None:
    table = visit.page.locator("#errors table")
    headers = table.locator("th")
    index = headers.evaluate_all("(all) => all.findIndex((one) => one.classList.contains('number'))")
    header = headers.nth(index)
    for _ in range(200):
        visit.page.keyboard.press("Tab")
        if header.evaluate("(one) => one.contains(document.activeElement)"):
            break
    else:
        pytest.fail("Tab never came to the header")
    values = f"{COLUMN.removesuffix('.textContent.trim())')}.dataset.sort).filter(Boolean).map(Number)"
    visit.page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    rising = table.evaluate(values, index)
    visit.page.keyboard.press("Space")
    expect(header).to_have_attribute("aria-sort", "descending")
    assert len(rising) == 10
    assert rising == sorted(rising)
    assert table.evaluate(values, index) == rising[::-1]
    expect(header.locator("button")).to_be_focused()


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 2560])
def test_nothing_is_wider_than_the_page(visit: Visit, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 844})
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.page.evaluate(STICKING_OUT) == []


def unfolded(page: Page, report_page: Path) -> None:
    """Open the report with all that is folded in it."""
    page.goto(report_page.as_uri())
    folded = page.locator("details")
    assert folded.count() > 0
    folded.evaluate_all("(all) => all.forEach((one) => { one.open = true; })")


@SCREENS
def test_the_winner_comes_first_and_its_accuracy_is_in_sight(
    page: Page, report_page: Path, width: int, scheme: str
) -> None:
    page.goto(report_page.as_uri())
    rows = page.locator("#models table").first.locator("tbody tr")
    expect(rows.first).to_have_class("best")
    expect(rows.first.locator("td").first).to_have_text("winner")
    for row in rows.all():
        accuracy = row.locator("td").nth(1)
        expect(accuracy).to_have_text(re.compile(r"^\d+\.\d\d %$"))
        accuracy.scroll_into_view_if_needed()
        box = accuracy.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width
    assert page.locator("#models .scroll").first.evaluate("(one) => one.scrollLeft") == 0


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark")])
def test_a_shadow_says_that_a_table_goes_on(page: Page, report_page: Path, width: int, scheme: str) -> None:
    page.goto(report_page.as_uri())
    box = page.locator("#models .scroll").first
    edges = []
    for place in (0, 10_000):
        box.evaluate("(one, place) => { one.scrollLeft = place; }", place)
        shot = imread(io.BytesIO(box.screenshot()))
        edges.append(float(shot[2:12, -8:, :3].mean()))  # beside the caption, where nothing is written
    goes_on, ends = edges
    assert abs(goes_on - ends) > 0.08, edges


def test_runs_are_linked(visit: Visit) -> None:
    links = visit.page.locator("#models td a, #lineage td a").evaluate_all("(all) => all.map((one) => one.href)")
    assert len(links) == 4
    assert all(re.fullmatch(r"http://127\.0\.0\.1:5000/#/runs/[0-9a-f]{32}", link) for link in links)


@SCREENS
def test_no_text_is_small(page: Page, report_page: Path, width: int, scheme: str) -> None:
    unfolded(page, report_page)
    sizes = page.evaluate(TEXT_SIZES)
    assert len(sizes) > 200
    assert [(size, text) for size, text in sizes if size < SMALLEST_TEXT_PX] == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light")])
def test_text_in_figures_is_not_shrunk(page: Page, report_page: Path, width: int, scheme: str) -> None:
    unfolded(page, report_page)
    scales = page.locator("img").evaluate_all(
        "(all) => all.map((one) => [one.getBoundingClientRect().width / one.getAttribute('width'), one.alt])"
    )
    assert len(scales) > 4
    assert [alt for scale, alt in scales if scale * SMALLEST_FIGURE_TEXT_PX < SMALLEST_TEXT_PX - 0.001] == []


@SCREENS
def test_axe_finds_nothing_serious(page: Page, report_page: Path, width: int, scheme: str) -> None:
    unfolded(page, report_page)
    found = Axe().run(page).response
    assert [rule["id"] for rule in found["passes"] if rule["id"] in ("color-contrast", "image-alt")] == CHECKED
    assert [
        (rule["id"], node["target"], node["failureSummary"])
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ] == []


def test_it_can_be_read_without_scripts(browser: Browser, report_page: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report_page.as_uri())
    expect(page.locator("h1")).to_contain_text("digits")
    assert page.locator("tbody tr").count() > 4
    context.close()


def test_a_dark_screen_gets_a_dark_page(browser: Browser, report_page: Path) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(report_page.as_uri())
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades[scheme] = sum(int(part) for part in colour.strip("rgba()").split(",")[:3]) / 3
        context.close()
    assert shades["light"] > 200 > 60 > shades["dark"]

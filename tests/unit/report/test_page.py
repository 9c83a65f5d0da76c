import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from mlpsweep.errors import DataFormatError
from mlpsweep.figures.style import png_bytes
from mlpsweep.report.page import (
    MARKED,
    Answer,
    Command,
    Page,
    Picture,
    Section,
    address_of,
    css_size,
    image,
    picture,
    render_page,
    spans,
)
from mlpsweep.tables import Column, Table

HOSTILE = "<img src=x onerror=alert(1)>"
PIXEL = "data:image/png;base64,AAAA"


class Tags(HTMLParser):
    """All start tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def named(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def page_of(text: str, n_rows: int = 1) -> str:
    table = Table(
        text, (Column(text, text), Column("n", text, "count")), tuple({text: text, "n": k} for k in range(n_rows))
    )
    shown = Picture(PIXEL, text, text, 3, 2)
    section = Section("one", text, (text,), (table,), (shown,), (Command(text, text),), text, (shown,))
    return render_page(Page(text, text, ((text, text),), (text,), (section,), (Answer("a", text, text, text),), text))


def test_every_value_stays_text():
    tags = Tags(page_of(HOSTILE))
    assert [attributes["src"] for attributes in tags.named("img")] == [PIXEL, PIXEL]
    assert tags.text.count(HOSTILE) == 22  # everywhere but in attributes
    assert not [name for _, attributes in tags.tags for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("text", ['" autofocus onfocus="alert(1)', "</script><script>alert(1)</script>", "{{ 7*7 }}"])
def test_values_do_not_leave_their_place(text):
    tags = Tags(page_of(text))
    assert len(tags.named("script")) == 1
    assert tags.named("img")[0]["alt"] == text
    assert not [name for _, attributes in tags.tags for name in attributes if name.startswith("on")]


def test_only_the_pages_own_script_may_run():
    page = page_of("t")
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(a["content"] for a in Tags(page).named("meta") if a.get("http-equiv"))
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_page_needs_no_network():
    tags = Tags(page_of("t"))
    addresses = [a[key] for _, a in tags.tags for key in ("src", "href", "srcset") if key in a]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "url(" not in page_of("t")
    assert "@import" not in page_of("t")


def test_tables_have_captions_and_scopes_and_numbers_to_sort_by():
    tags = Tags(page_of("t", n_rows=3))
    assert [attributes["scope"] for attributes in tags.named("th")] == ["col", "col"]
    assert [a.get("data-sort") for a in tags.named("td")] == [None, "0.0", None, "1.0", None, "2.0"]
    assert len(tags.named("caption")) == 1


def test_a_marked_row_stands_out_and_a_cell_with_an_address_is_a_link():
    columns = (Column("run", "run"), Column("n", "n", "count"))
    rows = ({"run": "a", MARKED: True, address_of("run"): "http://h/#/runs/a"}, {"run": "b", MARKED: False})
    tags = Tags(render_page(Page("t", "t", (), (), (Section("s", "s", (), (Table("t", columns, rows),)),))))
    assert [attributes.get("class") for attributes in tags.named("tr")] == [None, "best", None]
    assert [a["href"] for a in tags.named("a") if a["href"].startswith("http")] == ["http://h/#/runs/a"]


def test_a_picture_that_may_scroll_takes_half_a_row_at_least():
    shown = [Picture(PIXEL, "", "", 300, 2, is_wide=is_wide) for is_wide in (True, False, False, False)]
    assert spans(shown) == ("half", "third", "third", "third")


@pytest.mark.parametrize(
    ("widths", "wanted"),
    [([360] * 3, "third third third"), ([360] * 4, "half half half half"), ([360], "half"), ([540, 540], "half half"),
     ([360] * 4 + [720], "half half half half full"), ([360] * 7, "third third third half half half half")],
)  # fmt: skip
def test_rows_of_pictures_are_full(widths, wanted):
    assert " ".join(spans([Picture(PIXEL, "", "", width, 2) for width in widths])) == wanted


@pytest.mark.parametrize(("n_rows", "has_filter"), [(12, False), (13, True)])
def test_only_long_tables_can_be_filtered(n_rows, has_filter):
    assert any("data-filter" in a for a in Tags(page_of("t", n_rows)).named("div")) is has_filter


def test_a_figure_keeps_its_drawn_size():
    drawn = picture(lambda: Figure(figsize=(3.75, 2.5)), "alt", "caption")
    assert (drawn.width, drawn.height) == (360, 240)
    assert drawn.address.startswith("data:image/png;base64,")


def test_a_file_that_is_no_png_is_refused():
    with pytest.raises(DataFormatError, match="not a PNG"):
        image(b"GIF89a", "alt", "caption")
    with pytest.raises(DataFormatError, match="not a PNG"):
        css_size(png_bytes(Figure(figsize=(1, 1)))[:20])

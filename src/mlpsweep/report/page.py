"""A self-contained HTML page made of sections; ``report`` and ``comparison`` say what is on it.

The page needs no network and no JavaScript: a small script adds sorting and filtering to its tables.
"""

import base64
import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import jinja2
from markupsafe import Markup

from mlpsweep.errors import DataFormatError
from mlpsweep.figures.style import DPI, Figure, png_bytes
from mlpsweep.tables import Table

MARKED: Final = "is_marked"
"""Key of a table's row that stands out."""

THIRD, HALF = 365, 550
"""Largest widths, in CSS pixels, of a picture that leaves room for two others, and for one, in its row."""

_TEMPLATES: Final = jinja2.PackageLoader("mlpsweep.report")


@dataclass(frozen=True, slots=True)
class Picture:
    """One image.

    Parameters
    ----------
    address : str
        The image as a ``data:`` address.
    alt : str
        Text alternative, with the main figures.
    caption : str
        Line under the image.
    width, height : int
        Natural size, CSS pixels.
    is_wide : bool
        Whether the image takes the page's whole width, and scrolls on a narrow page.
    """

    address: str
    alt: str
    caption: str
    width: int
    height: int
    is_wide: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """The purpose of a command, and its command line."""

    purpose: str
    line: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A question, its answer in one sentence, and a command that belongs to it; ``name`` is its anchor."""

    name: str
    question: str
    text: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page: paragraphs, tables, pictures, commands, folded pictures; ``name`` is its anchor.

    A row of a table that has ``MARKED`` stands out, and a cell is a link if the row has its address, under
    :func:`address_of` its column.
    """

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    commands: tuple[Command, ...] = ()
    folded_title: str = ""
    folded: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page.

    Parameters
    ----------
    title : str
        Title of the window and first heading.
    lead : str
        The result in one sentence.
    facts : tuple of (str, str)
        Name and value of each main figure.
    warnings : tuple of str
        Sentences shown above everything else.
    sections : tuple of Section
        Sections, in reading order.
    answers : tuple of Answer
        What a reader wants to know first.
    made : str
        When and from what the page was made.
    """

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    answers: tuple[Answer, ...] = ()
    made: str = ""


def address_of(key: str) -> str:
    """Return the key under which a table's row has the address of a column's value."""
    return f"{key} address"


def spans(pictures: Sequence[Picture]) -> tuple[str, ...]:
    """Return how much of the page's width each picture takes, so that no row is left half empty.

    Examples
    --------
    >>> spans([Picture("", "", "", 360, 268)] * 5)
    ('third', 'third', 'third', 'half', 'half')
    """
    found = [
        "full" if one.width > HALF else "half" if one.is_wide or one.width > THIRD else "third" for one in pictures
    ]
    small = [place for place, span in enumerate(found) if span == "third"]
    n_halves = {0: 0, 1: 4, 2: 2}[len(small) % 3]
    for place in small[-n_halves:] if n_halves else ():
        found[place] = "half"
    return tuple(found)


def picture(draw: Callable[[], Figure], alt: str, caption: str, *, is_wide: bool = False) -> Picture:
    """Return a figure as a picture of the page."""
    return image(png_bytes(draw()), alt, caption, is_wide=is_wide)


def image(png: bytes, alt: str, caption: str, *, is_wide: bool = False) -> Picture:
    """Return a PNG file in the house style as a picture of the page.

    Raises
    ------
    DataFormatError
        If the bytes are not a PNG.
    """
    return Picture(data_uri(png), alt, caption, *css_size(png), is_wide)


def data_uri(png: bytes) -> str:
    """Return PNG bytes as a ``data:`` address, which needs no network."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def css_size(png: bytes) -> tuple[int, int]:
    """Return the width and height of a PNG of ``style.DPI`` in CSS pixels, 96 an inch.

    Raises
    ------
    DataFormatError
        If the bytes are not a PNG.
    """
    if png[:8] != b"\x89PNG\r\n\x1a\n" or len(png) < 24:
        raise DataFormatError(f"page: not a PNG (starts with {png[:8].hex()}). Run `dvc repro` to draw it again.")
    width, height = struct.unpack_from(">2I", png, 16)
    return round(width * 96 / DPI), round(height * 96 / DPI)


def render_page(page: Page) -> str:
    """Return a page as HTML.

    Every value is escaped, and the content security policy allows no script but the page's own, no address but
    ``data:`` images.
    """
    environment = jinja2.Environment(
        loader=_TEMPLATES, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script, style = (_asset(environment, name) for name in ("page.js", "page.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals |= {"zip": zip, "spans": spans, "address_of": address_of, "MARKED": MARKED}
    template = environment.get_template("page.html.j2")
    ours = {"script": Markup(script), "style": Markup(style)}  # noqa: S704 - files of this package, without values
    return template.render(page=page, script_digest=digest, **ours)


def _asset(environment: jinja2.Environment, name: str) -> str:
    """Return one of this package's own files unescaped; it holds no value from outside."""
    return _TEMPLATES.get_source(environment, name)[0]

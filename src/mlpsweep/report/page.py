"""A self-contained HTML page made of sections; knows nothing of models, studies or files.

The page needs no network and no JavaScript: a small script adds sorting and filtering to its tables.
"""

import base64
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import jinja2
from markupsafe import Markup

from mlpsweep.errors import DataFormatError
from mlpsweep.figures.style import DPI, Figure, png_bytes
from mlpsweep.tables import Table

_TEMPLATES: Final = jinja2.PackageLoader("mlpsweep.report")


@dataclass(frozen=True, slots=True)
class Picture:
    """One image.

    Parameters
    ----------
    address : str
        A ``data:`` address.
    alt : str
        What it shows, with its main figures, for those who cannot see it.
    caption : str
        Line under it.
    width, height : int
        Natural size, CSS pixels.
    is_wide : bool
        Whether it takes the page's whole width and scrolls where that is too narrow.
    """

    address: str
    alt: str
    caption: str
    width: int
    height: int
    is_wide: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command line and what it does."""

    purpose: str
    line: str


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page: paragraphs, then tables, pictures and commands; ``name`` is its anchor."""

    name: str
    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page.

    Parameters
    ----------
    title : str
        Of the window and the first heading.
    lead : str
        The result in one sentence.
    facts : tuple of (str, str)
        Name and value of the few figures everyone looks for.
    warnings : tuple of str
        What must not be overlooked.
    sections : tuple of Section
        In order.
    """

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]


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
    """Return PNG bytes as an address that needs no network."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def css_size(png: bytes) -> tuple[int, int]:
    """Return width and height at which a PNG of ``style.DPI`` has its drawn size, 96 pixels an inch.

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
    template = environment.get_template("page.html.j2")
    return template.render(page=page, script=Markup(script), style=Markup(style), script_digest=digest)


def _asset(environment: jinja2.Environment, name: str) -> str:
    """Return one of this package's own files as it is; it holds no value from outside."""
    return _TEMPLATES.get_source(environment, name)[0]

"""Tables of raw values, shown on the terminal, in Markdown, as CSV and in HTML."""

import csv
import io
import math
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

MISSING: Final = "–"
"""Text of a missing value; CSV leaves the cell empty."""


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def duration(seconds: float) -> str:
    """Return a duration as text; tenths of a second are shown below ten seconds only.

    Examples
    --------
    >>> duration(3.04), duration(42), duration(62), duration(9000)
    ('3.0 s', '42 s', '1 min 02 s', '2 h 30 min')
    """
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless there is one.

    Examples
    --------
    >>> counted(1, "epoch"), counted(3, "worker")
    ('1 epoch', '3 workers')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _signed(value: float, form: str = "+d") -> str:
    return format(value, form).replace("-", "\u2212")


def _points(value: float) -> str:
    return _signed(100 * value, "+.2f")


def plain(value: object) -> str:
    """Return a value as one types it on the command line: ``0.01``, ``500,250,100``, ``true``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(plain, value)) + "]"
    return str(value)


FORMATS: Final[Mapping[str, Callable[[Any], str]]] = MappingProxyType(
    {
        "text": plain,
        "count": lambda value: f"{value:,}".replace(",", "\u202f"),
        "number": lambda value: f"{value:.4g}",
        "percent": _percent,
        "share": lambda value: f"{100 * value:.0f} %",
        "points": _points,
        "signed": _signed,
        "seconds": duration,
        "probability": lambda value: "< 0.0001" if value < 0.0001 else f"{value:.4f}",
        "range": lambda ends: f"{100 * ends[0]:.2f}–{100 * ends[1]:.2f} %",
        "points range": lambda ends: f"{_points(ends[0])} … {_points(ends[1])}",
    }
)
"""Format of each kind of value; CSV always holds the raw value."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Parameters
    ----------
    key : str
        Key of its values.
    title : str
        Heading.
    kind : str
        Kind of its values, a key of ``FORMATS``.
    leaves : int
        When it leaves a table that is too wide for a terminal: the largest number first; 0 stays.
    """

    key: str
    title: str
    kind: str = "text"
    leaves: int = 1

    @property
    def is_numeric(self) -> bool:
        """Whether values are amounts, to be aligned right."""
        return self.kind != "text"

    def text(self, value: Any) -> str:
        """Return a value as a reader sees it."""
        if value is None:
            return MISSING
        # A text in a column of numbers is a remark, such as "pruned", and has no format.
        return str(value) if isinstance(value, str) else FORMATS[self.kind](value)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as mappings from column keys to raw values; a key may be missing.

    Parameters
    ----------
    title : str
        Caption of the table.
    columns : tuple of Column
        Columns from left to right.
    rows : tuple of mapping
        Rows from top to bottom; not modified.
    best : int or None
        Index of the row that a terminal marks, if there are others.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    best: int | None = None

    def texts(self) -> list[list[str]]:
        """Return each row's cells as a reader sees them."""
        return [[column.text(row.get(column.key)) for column in self.columns] for row in self.rows]

    def to_text(self, width: int | None = None, *, is_bold: bool = False) -> str:
        """Return the table for a terminal: whole columns leave it until it fits, and no cell is cut.

        Parameters
        ----------
        width : int or None
            Columns of the terminal; None for a file or a pipe, which has room for everything.
        is_bold : bool
            Whether the best row is bold, by the escape sequence of terminals.
        """
        lines = textwrap.wrap(self.title, width or len(self.title) + 1) if self.title else []
        shown, widths = _fitting(self, width)
        lines += _laid_out(shown, widths, [column.title for column in shown], "  ")
        lines.append("  " + "  ".join("─" * w for w in widths))
        best = self.best if len(self.rows) > 1 else None
        for number, row in enumerate(self.rows):
            mark = "* " if number == best else "  "
            told = _laid_out(shown, widths, [column.text(row.get(column.key)) for column in shown], mark)
            lines += [f"\033[1m{line}\033[0m" for line in told] if is_bold and number == best else told
        lines += ["* the best"] * (best is not None)
        if gone := [column.title for column in self.columns if column not in shown]:
            lines += textwrap.wrap(f"Left out, for want of width: {', '.join(gone)}.", width or 80)
        return "".join(f"{line}\n" for line in lines)

    def to_markdown(self) -> str:
        """Return the table in Markdown; a vertical bar in a value is escaped."""
        lines = [[column.title for column in self.columns], *self.texts()]
        cells = [[text.replace("|", "\\|") for text in line] for line in lines]
        rule = ["---:" if column.is_numeric else "---" for column in self.columns]
        return "".join(f"| {' | '.join(line)} |\n" for line in (cells[0], rule, *cells[1:]))

    def to_csv(self) -> str:
        """Return the raw values under the columns' keys; floats in full, missing values empty."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([column.key for column in self.columns])
        for row in self.rows:
            writer.writerow([_raw(row.get(column.key)) for column in self.columns])
        return stream.getvalue()

    def sort_key(self, column: Column, row: Mapping[str, Any]) -> str:
        """Return the key by which a page sorts a cell: the full number, or an empty text if the cell is text."""
        value = row.get(column.key)
        return repr(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else ""


GAP: Final = 2
"""Spaces before each column of a table on a terminal; before the first one they hold the mark."""

MIN_FOLDED: Final = 8


def _fitting(table: Table, width: int | None) -> tuple[list[Column], list[int]]:
    """Return the columns that a terminal has room for, and their widths.

    Headings are folded first, then columns leave, and if those that stay are still too wide, their texts are folded.
    """
    cells = {c: [c.text(row.get(c.key)) for row in table.rows] for c in table.columns}
    needed = {c: max(map(len, texts), default=0) for c, texts in cells.items()}
    whole = {c: max(needed[c], len(c.title)) for c in needed}
    folded = {c: max(needed[c], *(len(part.rstrip()) for part in _parts(c.title)), 1) for c in needed}
    shown = list(table.columns)
    while True:
        for widths in (whole, folded):
            if width is None or sum(widths[c] + GAP for c in shown) <= width:
                return shown, [widths[c] for c in shown]
        leaving = [c for c in shown if c.leaves]
        if not leaving:
            return shown, _squeezed(shown, [folded[c] for c in shown], width or 0)
        most = max(c.leaves for c in leaving)
        shown.remove([c for c in leaving if c.leaves == most][-1])


def _squeezed(shown: Sequence[Column], widths: list[int], width: int) -> list[int]:
    """Return widths that fit, as far as texts can be folded: the widest column gives first."""
    while sum(widths) + GAP * len(widths) > width:
        widest = max((i for i, c in enumerate(shown) if not c.is_numeric), key=lambda i: widths[i], default=None)
        if widest is None or widths[widest] <= MIN_FOLDED:
            break
        widths[widest] -= 1
    return widths


def _parts(text: str) -> list[str]:
    """Return the pieces of a text, between which a line may end."""
    return re.findall(r"[^/_, ]+[/_, ]*|[/_, ]+", text)


def _folded(text: str, width: int) -> list[str]:
    """Return a text as lines of at most ``width`` characters."""
    lines = [""]
    for part in _parts(text):
        if len((lines[-1] + part).rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += part
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines]


def _laid_out(shown: Sequence[Column], widths: Sequence[int], texts: Sequence[str], mark: str) -> list[str]:
    """Return a row as one or more lines; the mark stands before the first one."""
    cells = [_folded(text, width) for text, width in zip(texts, widths, strict=True)]
    lines = []
    for n in range(max(map(len, cells))):
        pieces = [cell[n] if n < len(cell) else "" for cell in cells]
        aligned = [p.rjust(w) if c.is_numeric else p.ljust(w) for p, w, c in zip(pieces, widths, shown, strict=True)]
        lines.append((mark if n == 0 else " " * GAP) + (" " * GAP).join(aligned).rstrip())
    return lines


def _raw(value: Any) -> Any:
    return "" if value is None else plain(value) if isinstance(value, bool | list | tuple) else value


def is_number(value: object) -> bool:
    """Return whether a value is an amount; true and false are names, and no integer is beyond all floats."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) <= sys.float_info.max


def finite(text: str) -> float:
    """Return the number that a cell holds.

    Raises
    ------
    ValueError
        If it holds none, NaN, or what is beyond all floats.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is no finite number")
    return number


def varying(rows: Sequence[Mapping[str, Any]], keys: Iterable[str]) -> tuple[str, ...]:
    """Return the keys whose values differ between rows; a missing key is a value of its own.

    Examples
    --------
    >>> varying([{"a": 1, "b": 2}, {"a": 1, "b": 3}], ["a", "b"])
    ('b',)
    """
    return tuple(key for key in keys if len({plain(row.get(key)) for row in rows}) > 1)

"""Tables of raw values, shown on the terminal, in Markdown, as CSV and in HTML."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.table import Table as RichTable

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
    """One column: the key of its values, its heading and the kind of value (a key of ``FORMATS``)."""

    key: str
    title: str
    kind: str = "text"

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
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]

    def texts(self) -> list[list[str]]:
        """Return each row's cells as a reader sees them."""
        return [[column.text(row.get(column.key)) for column in self.columns] for row in self.rows]

    def to_rich(self) -> "RichTable":
        """Return the table for a terminal; brackets in values are shown, not read as rich's markup."""
        import rich.table
        from rich.text import Text

        table = rich.table.Table(title=Text(self.title), title_justify="left")
        for column in self.columns:
            table.add_column(Text(column.title), justify="right" if column.is_numeric else "left")
        for cells in self.texts():
            table.add_row(*map(Text, cells))
        return table

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


def _raw(value: Any) -> Any:
    return "" if value is None else plain(value) if isinstance(value, bool | list | tuple) else value


def is_number(value: object) -> bool:
    """Return whether a value is an amount; true and false are names."""
    return isinstance(value, int | float) and not isinstance(value, bool)


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

"""A CSV file as lines of cells in a fixed order of columns; what they mean is ``table``'s."""

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mlpsweep.data.raw import RawFile
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import DataFormatError
from mlpsweep.schema import nearest
from mlpsweep.tables import counted

CELLS_AT_A_TIME: Final = 100_000
MAX_LINE: Final = 1 << 20
Rows = tuple[list[int], list[list[str]]]
"""Line numbers and cells of some consecutive rows."""


@dataclass(frozen=True)
class Sheet:
    """A CSV file, of which the first line has been read.

    Parameters
    ----------
    file : RawFile
        The file.
    delimiter : str
        What stands between cells.
    names : tuple of str
        Names of the columns of its rows as :meth:`rows` gives them: the label's, then those of the features.
    columns : tuple of int
        Where these are in the file.
    n_cells : int
        Cells of each line.
    has_header : bool
        Whether the first line holds names.
    """

    file: RawFile
    delimiter: str
    names: tuple[str, ...]
    columns: tuple[int, ...]
    n_cells: int
    has_header: bool

    @classmethod
    def open(cls, file: RawFile, settings: DataSettings) -> "Sheet":
        """Return a file with its columns, after checking their names."""
        delimiter = _delimiter(file)
        first = next(_lines(file, delimiter), None)
        if first is None:
            raise DataFormatError(f"{file}: empty; expected a line of column names, and a row for each sample.")
        header = [name.strip() for name in first[1]]
        if has_header := isinstance(settings.label, str):
            _check_header(file, header)
        names = header if has_header else list(map(str, range(len(header))))
        label = str(settings.label)
        for name in (label, *settings.categories, *settings.ignore):
            if name not in names:
                known = f"{', '.join(names[:20])}{' ...' * (len(names) > 20)}{nearest(name, names)}"
                raise DataFormatError(
                    f"{file}: no column {name!r} in line 1; expected one of {known}. Name the column of the labels "
                    "with label in the data set's file; label: 0 is the first one of a file without a header"
                )
        chosen = [name for name in names if name != label and name not in settings.ignore]
        if not chosen:
            raise DataFormatError(f"{file}: no column but {label!r}; expected one to learn from at least.")
        order = (label, *chosen)
        return cls(file, delimiter, order, tuple(map(names.index, order)), len(names), has_header)

    def in_order_of(self, other: "Sheet") -> "Sheet":
        """Return the sheet with its columns in the order of another one, which must have the same."""
        if set(self.names) != set(other.names):
            lacks, more = set(other.names) - set(self.names), set(self.names) - set(other.names)
            told = [
                f"{verb} {', '.join(sorted(names)[:20])}" for verb, names in (("lacks", lacks), ("adds", more)) if names
            ]
            raise DataFormatError(
                f"{self.file}: {' and '.join(told)}; expected the columns of {other.file}. Rename them, or name those "
                "to leave out with ignore in the data set's file"
            )
        columns = tuple(self.columns[self.names.index(name)] for name in other.names)
        return Sheet(self.file, self.delimiter, other.names, columns, self.n_cells, self.has_header)

    def rows(self) -> Iterator[Rows]:
        """Yield consecutive rows, some at a time, each with the label first and all of one length."""
        at_a_time = max(1, CELLS_AT_A_TIME // self.n_cells)
        numbers: list[int] = []
        rows: list[list[str]] = []
        for index, (line, cells) in enumerate(_lines(self.file, self.delimiter)):
            if index == 0 and self.has_header:
                continue
            if len(cells) != self.n_cells:
                raise DataFormatError(
                    f"{self.file}: line {line}: {counted(len(cells), 'cell')}; expected {self.n_cells}, as in line 1. "
                    "Put a text with a comma in it in quotes"
                )
            numbers.append(line)
            rows.append([cells[column] for column in self.columns])
            if len(rows) == at_a_time:
                yield numbers, rows
                numbers, rows = [], []
        if rows:
            yield numbers, rows


def _check_header(file: RawFile, header: Sequence[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1}) if len(set(header)) < len(header) else []
    if twice or "" in header:
        what = "a column without a name" if "" in header else f"two columns {twice[0]!r}"
        raise DataFormatError(f"{file}: {what} in line 1; expected a name of its own for each. Rename it in the file")


@contextlib.contextmanager
def _text(file: RawFile) -> Iterator[io.TextIOWrapper]:
    with file.open() as stream:
        try:
            yield io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        except UnicodeDecodeError as error:
            raise DataFormatError(
                f"{file}: not UTF-8 ({error.reason}); expected text. Save it as CSV with the encoding UTF-8"
            ) from error


def _delimiter(file: RawFile) -> str:
    """Return what stands between the names of the first line."""
    with _text(file) as text:
        return max(",;\t", key=text.readline(MAX_LINE).count)


def _lines(file: RawFile, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each line that is not empty."""
    with _text(file) as text:
        reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            for cells in reader:
                if cells not in ([], [""]):
                    yield reader.line_num, cells
        except csv.Error as error:
            raise DataFormatError(f"{file}: line {reader.line_num}: {error}; expected cells. Mend the line") from error

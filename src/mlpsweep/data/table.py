"""Tables as CSV files: a column of labels, columns of numbers, columns of categories; or pixels, one column each.

A table is read several times, a few rows at a time, and never held as a whole: once to check each cell and to find the
labels and categories, then for its numbers.
"""

import math
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from mlpsweep.data.part import Feature, Part
from mlpsweep.data.raw import RawFile
from mlpsweep.data.sheet import Sheet
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import DataFormatError, quoted

MAX_CATEGORIES: Final = 100
MISSING: Final = frozenset({"", "?", "na", "n/a", "nan", "null"})
"""What stands, in small letters, in cells whose value nobody knows."""


def read_csv(files: Mapping[str, RawFile], settings: DataSettings) -> dict[str, Part]:
    """Return the parts of a set in CSV files: see :data:`mlpsweep.data.part.Reader`."""
    sheets = {split: Sheet.open(file, settings) for split, file in files.items()}
    train = _Scan(sheets["train"], settings)
    parts = {"train": train.part()}
    if "test" in sheets:
        parts["test"] = _Scan(sheets["test"].in_order_of(train.sheet), settings, train).part()
    return parts


@dataclass
class _Scan:
    """What one reading of a whole sheet finds: its labels, and the kind of each column.

    Parameters
    ----------
    sheet : Sheet
        The file.
    settings : DataSettings
        Settings of the data set.
    like : _Scan or None
        The scan of the train file, whose kinds and categories a test file must have.
    """

    sheet: Sheet
    settings: DataSettings
    like: "_Scan | None" = None
    labels: list[str] = field(default_factory=list)
    lines: "array[int]" = field(default_factory=lambda: array("q"))
    categories: dict[int, dict[str, None]] = field(default_factory=dict)
    """Categories of each column that has them, by its place; the other columns hold numbers."""

    def __post_init__(self) -> None:
        for lines, rows in self.sheet.rows():
            if not self.labels:
                self._decide_kinds(lines[0], rows[0])
            for line, row in zip(lines, rows, strict=True):
                self.labels.append(sys.intern(self._known(line, row, 0)))
                for place in self.categories:
                    self._add_category(line, row, place)
            self.lines.extend(lines)
            self._numbers(lines, rows)
        if not self.labels:
            raise DataFormatError(f"{self.sheet.file}: no row below the header; expected one for each sample.")

    def part(self) -> Part:
        """Return the rows as a part."""
        shape, features = self.settings.image_shape, self._features()
        if shape is not None and (len(features) != math.prod(shape) or self.categories):
            wanted = f"{math.prod(shape)} columns of pixels for image_shape {list(shape)}"
            found = f"{len(features)} columns" + " and texts" * bool(self.categories)
            raise DataFormatError(f"{self.sheet.file}: {found} beside the label; expected {wanted}. Correct either.")
        return Part(
            source=str(self.sheet.file),
            labels=np.array(self.labels),
            row_shape=(len(features),) if shape is None else shape,
            pieces=self._pieces if shape is None else self._images,
            place_of=lambda row: f"{self.sheet.file}: line {self.lines[row]}",
            features=features if shape is None else (),
        )

    def _decide_kinds(self, line: int, row: Sequence[str]) -> None:
        """Take each column for what stands in its first row: categories, if that is no number."""
        named = self.settings.categories
        kinds = self.like.categories if self.like else {
            place: {}
            for place, name in enumerate(self.sheet.names)
            if place and (name in named or not _is_number(self._known(line, row, place)))
        }  # fmt: skip
        self.categories = {place: {} for place in kinds}

    def _features(self) -> tuple[Feature, ...]:
        kinds = self.like.categories if self.like else self.categories
        return tuple(
            Feature(name, category)
            for place, name in enumerate(self.sheet.names)
            if place
            for category in (sorted(kinds[place]) if place in kinds else (None,))
        )

    def _known(self, line: int, row: Sequence[str], place: int) -> str:
        """Return a text that must be there."""
        text, name = row[place].strip(), self.sheet.names[place]
        if text.lower() in MISSING and (not text or name not in self.settings.categories):
            what = "the label" if place == 0 else "the value"
            raise self._fault(line, place, f"{what} is missing ({text!r}); expected one. Fill it in, or remove the row")
        return text

    def _add_category(self, line: int, row: Sequence[str], place: int) -> None:
        text, found = self._known(line, row, place), self.categories[place]
        if text in found:
            return
        if self.like and text not in self.like.categories[place]:
            known = ", ".join(sorted(self.like.categories[place])[:20])
            raise self._fault(line, place, f"{quoted(text)} is not in the train file; expected one of {known}")
        name = self.sheet.names[place]
        if name not in self.settings.categories and _is_number(text):
            way = f"Correct the cell, or, if its numbers are names, write categories: [{name}] in the data set's file"
            raise self._fault(line, place, f"{text} is a number below texts; expected one kind in a column. {way}")
        if len(found) == MAX_CATEGORIES:
            way = f"If each row has its own, write ignore: [{name}] in the data set's file"
            raise self._fault(line, place, f"another text; expected {MAX_CATEGORIES} different ones at most. {way}")
        found[text] = None

    def _numbers(self, lines: Sequence[int], rows: Sequence[Sequence[str]]) -> npt.NDArray[np.float64]:
        """Return the columns of numbers."""
        places = [place for place in range(1, len(self.sheet.names)) if place not in self.categories]
        if not places:
            return np.empty((len(rows), 0))
        try:
            values = np.array([[row[place] for place in places] for row in rows], np.float64)
        except ValueError:
            values = None
        if values is not None and np.isfinite(values).all():
            return values
        raise next(
            fault
            for line, row in zip(lines, rows, strict=True)
            for place in places
            for fault in [self._fault_of(line, row, place)]
            if fault
        )

    def _fault_of(self, line: int, row: Sequence[str], place: int) -> DataFormatError | None:
        """Return what is wrong with a cell that should hold a number."""
        try:
            text = self._known(line, row, place)
        except DataFormatError as fault:
            return fault
        if _is_number(text) and math.isfinite(float(text)):
            return None
        expected = "a finite number" if _is_number(text) else f"a number, as in line {self.lines[0]}"
        return self._fault(line, place, f"{quoted(text)}; expected {expected}. Correct the cell, or remove the row")

    def _pieces(self) -> Iterator[npt.NDArray[np.float64]]:
        """Yield rows of features: numbers as they are, and 1 for the category that a cell names."""
        kinds = self.like.categories if self.like else self.categories
        for lines, rows in self.sheet.rows():
            numbers, at = self._numbers(lines, rows), 0
            columns = []
            for place in range(1, len(self.sheet.names)):
                if place in kinds:
                    texts = np.array([row[place].strip() for row in rows])
                    columns.append((texts[:, None] == np.array(sorted(kinds[place]))).astype(np.float64))
                else:
                    columns.append(numbers[:, at : at + 1])
                    at += 1
            yield np.hstack(columns) if kinds else numbers

    def _images(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield rows of pixels as images."""
        height, width = self.settings.image_shape or (0, 0)
        for lines, rows in self.sheet.rows():
            numbers = self._numbers(lines, rows)
            wrong = np.argwhere((numbers < 0) | (numbers > 255) | (numbers != np.floor(numbers)))
            if len(wrong):
                row, place = map(int, wrong[0])
                what = f"{numbers[row, place]:g} is no pixel; expected an integer, 0 .. 255. Leave image_shape out for"
                raise self._fault(lines[row], place + 1, f"{what} columns of numbers")
            pixels = numbers.astype(np.uint8)
            if self.settings.transpose:
                yield np.swapaxes(pixels.reshape(-1, width, height), 1, 2)
            else:
                yield pixels.reshape(-1, height, width)

    def _fault(self, line: int, place: int, what: str) -> DataFormatError:
        return DataFormatError(f"{self.sheet.file}: line {line}, column {self.sheet.names[place]!r}: {what}.")


def _is_number(text: str) -> bool:
    try:
        np.array([text], np.float64)
    except ValueError:
        return False
    return True

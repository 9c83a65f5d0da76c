"""From labels of any kind to class numbers 0 .. k-1."""

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep.data.part import Part
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import DataFormatError, quoted
from mlpsweep.tables import counted
from mlpsweep.types import LabelArray

MAX_CLASSES: Final = 10_000
_INTEGER: Final = re.compile(r"-?(0|[1-9]\d{0,17})")


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes of a data set.

    Parameters
    ----------
    names : tuple of str
        Name of each class, 0 first.
    labels : tuple of int or str
        What the files call it.
    """

    names: tuple[str, ...]
    labels: tuple[Any, ...]

    @classmethod
    def of(cls, train: Part, settings: DataSettings) -> "Classes":
        """Return the classes that the labels of a train file tell: integers in order, texts by name, or as declared.

        Raises
        ------
        DataFormatError
            If there is one class, or there are too many, or the labels are not those that ``settings`` declare.
        """
        labels = tuple(np.unique(_normal(np.unique(train.labels))).tolist())
        where = f"{train.source}: "
        if not 2 <= len(labels) <= MAX_CLASSES:
            only = f", {quoted(labels[0])}" if len(labels) == 1 else ""
            raise DataFormatError(
                f"{where}{counted(len(labels), 'different label')}{only}; expected 2 .. {MAX_CLASSES:,} classes. "
                "If that is not the column or file of the labels, name another one"
            )
        return cls(_names(labels, settings, where), _ordered(labels, settings, where))

    def numbers(self, part: Part) -> LabelArray:
        """Return the class of each row, uint8 or, for more than 256 classes, uint16.

        Raises
        ------
        DataFormatError
            If a row has a label that no row of the train file has.
        """
        known = {label: number for number, label in enumerate(self.labels)}
        found, rows = np.unique(part.labels, return_inverse=True)
        as_known = found.astype(str) if isinstance(self.labels[0], str) else _normal(found)
        numbers = np.array([known.get(label, -1) for label in as_known.tolist()])
        if (numbers < 0).any():
            row = int(np.argmax(numbers[rows] < 0))
            shown = f"{', '.join(map(str, self.labels[:20]))}{' ...' * (len(self.labels) > 20)}"
            raise DataFormatError(
                f"{part.place_of(row)}: the label is {quoted(part.labels[row].item())}; expected one of the train "
                f"file's, {shown}. Correct it, or remove the row"
            )
        narrow: LabelArray = numbers.astype(np.uint8 if len(self.labels) <= 256 else np.uint16)
        return narrow[rows.reshape(-1)]


def _normal(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels as integers if all of them are integers, whatever they are stored as."""
    is_integer = labels.dtype.kind != "U" or all(map(_INTEGER.fullmatch, labels.tolist()))
    return labels.astype(np.int64) if is_integer else labels


def _ordered(labels: tuple[Any, ...], settings: DataSettings, where: str) -> tuple[Any, ...]:
    """Return the labels in the order of their classes."""
    names, offset = settings.class_names, settings.label_offset
    is_text = isinstance(labels[0], str)
    if offset is not None and (is_text or labels != tuple(range(offset, offset + len(names or labels)))):
        wanted = f"{offset} .. {offset + len(names or labels) - 1}, each in one row at least, as label_offset says"
        raise DataFormatError(f"{where}{_told(labels)}; expected {wanted}. Correct the labels or the data set's file")
    if names and (set(names) != set(labels) if is_text else len(names) != len(labels)):
        raise DataFormatError(
            f"{where}{_told(labels)}, and there are {len(names)} class_names ({', '.join(names[:20])}); expected one "
            "name for each label. Correct the labels or the data set's file"
        )
    return names if names and is_text else labels


def _names(labels: tuple[Any, ...], settings: DataSettings, where: str) -> tuple[str, ...]:
    return settings.class_names or tuple(map(str, labels))


def _told(labels: tuple[Any, ...]) -> str:
    few = ", ".join(map(str, labels[:20])) + " ..." * (len(labels) > 20)
    return f"{counted(len(labels), 'different label')} ({few})"

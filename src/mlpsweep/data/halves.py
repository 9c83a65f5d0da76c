"""The rows of a set as its train and its test file: class numbers, and a fifth cut off where there is no test file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpsweep.data.classes import Classes
from mlpsweep.data.columns import Columns, kept
from mlpsweep.data.part import Part
from mlpsweep.data.split import cut_test
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import DataFormatError
from mlpsweep.types import LabelArray


@dataclass(frozen=True, eq=False)
class Half:
    """The rows of a part that become the train or the test file.

    Parameters
    ----------
    part : Part
        The part.
    keep : ndarray of shape (n_rows_of_part,), bool
        Which of its rows.
    labels : ndarray of shape (n_rows,)
        Their class numbers.
    """

    part: Part
    keep: npt.NDArray[np.bool_]
    labels: LabelArray

    def rows(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the rows, some at a time; see :func:`mlpsweep.data.columns.kept`."""
        return kept(self.part, self.keep)


@dataclass(frozen=True, eq=False)
class Halves:
    """Both files of a set, their classes, and the standardisation of a table.

    Parameters
    ----------
    classes : Classes
        The classes.
    files : dict of str to Half
        ``train`` and ``test``.
    columns : Columns or None
        Mean and spread of a table's features over the train file; None for images.
    """

    classes: Classes
    files: dict[str, Half]
    columns: Columns | None

    @classmethod
    def of(cls, parts: Mapping[str, Part], settings: DataSettings) -> "Halves":
        """Return both files of a set; a table is read once for it, images are not.

        Raises
        ------
        DataFormatError
            If labels or numbers are not what the settings declare, or nothing can be learned from or tested on.
        """
        train = parts["train"]
        classes = Classes.of(train, settings)
        numbers = {split: classes.numbers(part) for split, part in parts.items()}
        if "test" in parts:
            files = {
                split: Half(part, np.ones(len(numbers[split]), bool), numbers[split]) for split, part in parts.items()
            }
        else:
            is_test = cut_test(numbers["train"])
            if not is_test.any():
                what = "no class has more than one row; expected rows to test on, too"
                raise DataFormatError(f"{train.source}: {what}. Add some, or a test file")
            keeps = {"train": ~is_test, "test": is_test}
            files = {split: Half(train, keep, numbers["train"][keep]) for split, keep in keeps.items()}
        return cls(classes, files, Columns.of(train, files["train"].keep) if train.is_table else None)

"""Standardisation of the features of tables: each column gets mean 0 and variance 1 over the training file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep.data.part import Feature, Part
from mlpsweep.errors import DataFormatError

LARGEST: Final = 1e30
"""Beyond it squares would overflow, and no measurement is meant."""
ROUNDING: Final = 1e-13
"""A spread below this share of the mean is that of rounded sums."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Mean and spread of each feature over the rows of the training file, validation included.

    Parameters
    ----------
    features : tuple of Feature
        What the columns are.
    mean, std : ndarray of shape (n_features,), float64
        A column of one value has 1 as ``std``.
    """

    features: tuple[Feature, ...]
    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]

    @classmethod
    def of(cls, part: Part, keep: npt.NDArray[np.bool_]) -> "Columns":
        """Return the columns of a part's rows where ``keep`` is true, which are read once.

        Raises
        ------
        DataFormatError
            If a number is not finite or too large, or all of these rows are equal.
        """
        n_features = len(part.features)
        count, mean, squares = 0, np.zeros(n_features), np.zeros(n_features)
        for rows in kept(part, keep):
            # Chan, Golub and LeVeque (1979): sums of squares about the mean, merged piece by piece.
            own_mean = rows.mean(axis=0)
            gap, n_all = own_mean - mean, count + len(rows)
            squares += ((rows - own_mean) ** 2).sum(axis=0) + gap**2 * (count * len(rows) / n_all)
            mean, count = mean + gap * (len(rows) / n_all), n_all
        std = np.sqrt(squares / count)
        is_constant = std <= ROUNDING * np.abs(mean)
        if is_constant.all():
            raise DataFormatError(
                f"{part.source}: all training rows are equal; expected numbers that differ. Correct it"
            )
        return cls(part.features, mean, np.where(is_constant, 1.0, std))

    def standardized(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Return what a network sees of rows."""
        return ((rows - self.mean) / self.std).astype(np.float32)

    def described(self) -> tuple[dict[str, Any], ...]:
        """Return each column as a manifest has it: with it, one row of the file can be turned into features."""
        return tuple(
            {"name": feature.name, "category": feature.category, "mean": float(mean), "std": float(std)}
            for feature, mean, std in zip(self.features, self.mean, self.std, strict=True)
        )


def kept(part: Part, keep: npt.NDArray[np.bool_]) -> Iterator[npt.NDArray[Any]]:
    """Yield consecutive rows of a part where ``keep`` is true, some at a time.

    Raises
    ------
    DataFormatError
        If a number of a table is not finite, or larger than any measurement.
    """
    first = 0
    for piece in part.pieces():
        if part.is_table and not (fits := np.abs(piece) <= LARGEST).all():  # not so for NaN either
            row, column = map(int, np.argwhere(~fits)[0])
            raise DataFormatError(
                f"{part.place_of(first + row)}, column {part.features[column].name!r}: {piece[row, column]}; expected "
                f"a finite number, {LARGEST:g} at most. Correct it, or remove the row"
            )
        mask = keep[first : first + len(piece)]
        first += len(piece)
        if mask.any():
            yield piece if mask.all() else piece[mask]

"""Rows of a table as a network sees them, and back; a served model has this file and what its training kept of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpsweep.errors import DataFormatError

Described = Sequence[Mapping[str, Any]]
"""The ``name``, ``category``, ``mean`` and ``std`` of each feature, as the manifest has them."""


def kinds_of(described: Described) -> dict[str, list[str] | None]:
    """Return the columns that a table must have, in order: the categories of each, None for a column of numbers."""
    kinds: dict[str, list[str] | None] = {}
    for feature in described:
        if feature["category"] is None:
            kinds[feature["name"]] = None
        else:
            kinds[feature["name"]] = [*(kinds.get(feature["name"]) or []), feature["category"]]
    return kinds


def columns_text(described: Described, n_most: int = 20) -> str:
    """Return the names of the columns for a sentence."""
    names = [*kinds_of(described)]
    return ", ".join(names[:n_most]) + " ..." * (len(names) > n_most)


def features_of(described: Described, table: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Return the standardised features of rows.

    Parameters
    ----------
    described : sequence of mapping
    table : mapping
        Values of each column by its name, such as a DataFrame: numbers, or texts as the file has them.

    Returns
    -------
    ndarray of shape (n_rows, n_features), float32

    Raises
    ------
    DataFormatError
        If a number is not finite, or a text is none of those that the column had in training.
    """
    columns = {name: np.asarray(table[name]) for name in kinds_of(described)}
    for name, categories in kinds_of(described).items():
        values = columns[name].astype(np.float64) if categories is None else np.char.strip(columns[name].astype(str))
        fits = np.isfinite(values) if categories is None else np.isin(values, categories)
        if not fits.all():
            row, wanted = int(np.argmin(fits)), "a finite number" if categories is None else ", ".join(categories)
            raise DataFormatError(f"row {row}, column {name!r}: {values[row]}; expected {wanted}. Correct the row")
        columns[name] = values
    raw = [
        columns[one["name"]] if one["category"] is None else columns[one["name"]] == one["category"]
        for one in described
    ]
    mean, std = (np.array([one[key] for one in described]) for key in ("mean", "std"))
    features: npt.NDArray[np.float32] = ((np.stack(raw, axis=1) - mean) / std).astype(np.float32)
    return features


def table_of(described: Described, features: npt.NDArray[Any]) -> dict[str, list[Any]]:
    """Return the columns of rows whose features are given, numbers to six digits: the way back."""
    mean, std = (np.array([one[key] for one in described]) for key in ("mean", "std"))
    raw = features * std + mean
    places = {name: [i for i, one in enumerate(described) if one["name"] == name] for name in kinds_of(described)}
    return {
        name: [float(f"{value:.6g}") for value in raw[:, places[name][0]]]
        if categories is None
        else [categories[i] for i in raw[:, places[name]].argmax(axis=1)]
        for name, categories in kinds_of(described).items()
    }

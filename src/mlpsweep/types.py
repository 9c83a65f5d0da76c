"""The aliases of array types, and the names of dimensions.

Every docstring uses these names of dimensions: ``b`` rows of a batch, ``n_samples`` rows of a split,
``n_features`` pixels of an image, ``n_classes``, ``fan_in``/``fan_out`` inputs and outputs of a layer.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
"""Real numbers: float32 in training, float64 in gradient checks."""

ImageArray: TypeAlias = npt.NDArray[np.uint8]
"""Pixels of shape (n_samples, n_features), as stored in the prepared data."""

LabelArray: TypeAlias = npt.NDArray[np.integer[Any]]
"""Class numbers of shape (n_samples,), 0 .. n_classes - 1."""

IndexArray: TypeAlias = npt.NDArray[np.intp]
"""Row numbers of shape (n_samples,)."""

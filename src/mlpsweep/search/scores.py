"""What each finished training of a study scores on each validation row, kept under its run_key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy.special import log_softmax

from mlpsweep.data.dataset import Split
from mlpsweep.errors import DataFormatError
from mlpsweep.files import write_atomic
from mlpsweep.training.arrays import pack_arrays, unpack_arrays
from mlpsweep.training.model import Model
from mlpsweep.types import FloatArray, LabelArray


def _is_right(logits: FloatArray, labels: LabelArray) -> FloatArray:
    right: FloatArray = (logits.argmax(axis=1) == labels).astype(np.float32)
    return right


def _log_likelihood(logits: FloatArray, labels: LabelArray) -> FloatArray:
    rows: FloatArray = log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
    return rows.astype(np.float32)


SCORES: Final[Mapping[str, Callable[[FloatArray, LabelArray], FloatArray]]] = MappingProxyType(
    {"validation/accuracy": _is_right, "validation/loss": _log_likelihood}
)
"""Score of each row by metric, higher is better: its mean is the metric, or the metric's negative."""


def row_scores(model: Model, split: Split, metric: str) -> FloatArray:
    """Return what ``model`` scores on each row of ``split``: float32 of shape (n_samples,)."""
    return SCORES[metric](model.predict_logits(split.images[split.rows]), split.labels[split.rows].astype(np.intp))


@dataclass(frozen=True)
class ScoreStore:
    """One file per training in a folder; an empty array stands for a training that failed."""

    folder: Path

    def save(self, run_key: str, scores: FloatArray) -> None:
        """Keep the scores of a training.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        write_atomic(self._path(run_key), pack_arrays({"scores": scores}))

    def load(self, run_key: str) -> FloatArray | None:
        """Return the scores of a training; None if there are none, or the file is damaged: it is then made again."""
        path = self._path(run_key)
        try:
            return unpack_arrays(path.read_bytes(), str(path))["scores"]
        except (FileNotFoundError, DataFormatError, KeyError):
            return None

    def _path(self, run_key: str) -> Path:
        return self.folder / f"{run_key}.npz"

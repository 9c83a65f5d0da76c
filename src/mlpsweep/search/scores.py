"""What each finished training of a study scores on each validation row, kept under its run_key."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy.special import log_softmax
from sqlalchemy import ColumnElement, Connection, and_, select

from mlpsweep.data.dataset import Split
from mlpsweep.search.database import Database
from mlpsweep.search.leases import SCORE
from mlpsweep.training.model import Model
from mlpsweep.types import FloatArray, LabelArray


def _is_right(logits: FloatArray, labels: LabelArray) -> FloatArray:
    right: FloatArray = (logits.argmax(axis=1) == labels).astype(np.float32)
    return right


def _log_likelihood(logits: FloatArray, labels: LabelArray) -> FloatArray:
    rows: FloatArray = log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
    return rows.astype(np.float32)


def _balanced(logits: FloatArray, labels: LabelArray) -> FloatArray:
    """Weigh right decisions by the rows of their class: the mean over rows is that over classes of their recall."""
    counts = np.bincount(labels)
    worth = len(labels) / (np.count_nonzero(counts) * counts[labels])
    return (_is_right(logits, labels) * worth).astype(np.float32)


def _macro_f1(logits: FloatArray, labels: LabelArray) -> FloatArray:
    """Macro F1 plus each row's influence on it, which is 0 on average; so errors of differences are those of F1.

    F1 of a class is 2 right / (counts + decided). With one row more, 2 is added above for a right decision, and 1 below
    for a row of the class and for a row that is taken for it.
    """
    decided, n_classes = logits.argmax(axis=1), logits.shape[1]
    counts, taken = (np.bincount(classes, minlength=n_classes) for classes in (labels, decided))
    right, present = np.bincount(labels[decided == labels], minlength=n_classes), counts > 0
    below = np.maximum(counts + taken, 1)
    f1 = np.where(present, 2 * right / below, 0.0)
    moved = 2 * (decided == labels) / below[labels] - (f1 / below)[labels] - (f1 / below)[decided]
    share = 1 / np.count_nonzero(present)
    rows: FloatArray = (share * (f1.sum() + len(labels) * moved)).astype(np.float32)
    return rows


SCORES: Final[Mapping[str, Callable[[FloatArray, LabelArray], FloatArray]]] = MappingProxyType(
    {
        "validation/accuracy": _is_right,
        "validation/loss": _log_likelihood,
        "validation/balanced_accuracy": _balanced,
        "validation/macro_f1": _macro_f1,
    }
)
"""Score of each row by metric, higher is better: its mean is the metric, or the metric's negative."""


def row_scores(model: Model, split: Split, metric: str) -> FloatArray:
    """Return what ``model`` scores on each row of ``split``: float32 of shape (n_samples,)."""
    return SCORES[metric](model.predict_logits(split.images[split.rows]), split.labels[split.rows].astype(np.intp))


@dataclass(frozen=True)
class ScoreStore:
    """The scores of one study in its database; an empty array stands for a training that failed.

    Parameters
    ----------
    database : Database
        Open, with our tables.
    key : str
        What the scores belong to.
    """

    database: Database
    key: str

    def save(self, run_key: str, scores: FloatArray) -> None:
        """Keep the scores of a training.

        Raises
        ------
        StorageError
            If the database cannot be used.
        """
        packed = zlib.compress(scores.astype("<f4").tobytes())

        def saved(connection: Connection) -> None:
            if connection.execute(SCORE.update().where(self._is(run_key)).values(scores=packed)).rowcount == 0:
                connection.execute(SCORE.insert().values(study=self.key, run_key=run_key, scores=packed))

        self.database.run(saved)

    def load(self, run_key: str) -> FloatArray | None:
        """Return the scores of a training; None if there are none, or they are damaged: they are then made again."""
        packed = self.database.run(
            lambda connection: connection.scalar(select(SCORE.c.scores).where(self._is(run_key)))
        )
        try:
            return None if packed is None else np.frombuffer(zlib.decompress(packed), "<f4").astype(np.float32)
        except (zlib.error, ValueError, TypeError):
            return None

    def keys(self) -> set[str]:
        """Return the ``run_key`` of each training that has scores."""
        query = select(SCORE.c.run_key).where(SCORE.c.study == self.key)
        return self.database.run(lambda connection: set(connection.scalars(query)))

    def _is(self, run_key: str) -> ColumnElement[bool]:
        return and_(SCORE.c.study == self.key, SCORE.c.run_key == run_key)

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


SCORES: Final[Mapping[str, Callable[[FloatArray, LabelArray], FloatArray]]] = MappingProxyType(
    {"validation/accuracy": _is_right, "validation/loss": _log_likelihood}
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

"""The results of a pipeline run as values: models, predictions, and all that a report says; reads no files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from mlpsweep.search.rows import Search
from mlpsweep.types import FloatArray, LabelArray

WINNER: Final = "winner"
"""Name of the winner's folders under ``train/`` and ``evaluate/``; every other name is a baseline."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model says of each test row.

    Parameters
    ----------
    rows, labels, predicted_labels : ndarray of shape (n_samples,), int64
        Row of the test file, true class, predicted class.
    confidence : ndarray of shape (n_samples,), float64
        Probability of the predicted class.
    """

    rows: LabelArray
    labels: LabelArray
    predicted_labels: LabelArray
    confidence: FloatArray

    @property
    def correct(self) -> LabelArray:
        """1 where the prediction is right, else 0."""
        return np.equal(self.labels, self.predicted_labels).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One trained and evaluated model.

    Parameters
    ----------
    name : str
        Its folder: ``relu``, or ``winner``.
    settings : mapping
        ``config.yaml`` of its training.
    metrics : mapping
        ``metrics.json`` of its evaluation.
    history : tuple of mapping
        ``history.csv``: per epoch, column to number, or None where nothing was measured.
    class_names : tuple of str
        One per class.
    confusion : ndarray of shape (n_classes, n_classes), int64
        ``confusion_matrix.csv``.
    predictions : Predictions
        ``predictions.csv``.
    images : mapping of str to bytes
        PNG files of the evaluation by stem.
    run : mapping
        ``run.json``: run id and times; empty if tracking left none.
    """

    name: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]
    history: tuple[Mapping[str, float | None], ...]
    class_names: tuple[str, ...]
    confusion: LabelArray
    predictions: Predictions
    images: Mapping[str, bytes] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)

    def points(self, metric: str) -> list[tuple[float, float]]:
        """Return (epoch, value) of a metric where it was measured."""
        pairs = ((row.get("epoch"), row.get(metric)) for row in self.history)
        return [(epoch, value) for epoch, value in pairs if epoch is not None and value is not None]


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything on the page.

    Parameters
    ----------
    dataset, stands_in_for : str, str or None
        Identity from the manifest.
    models : tuple of ModelResult
        Baselines in name order, then the winner if there is one; at least one model.
    title : str
        The data set's name for readers.
    search : Search or None
        What found the winner.
    lineage : tuple of (str, str)
        What it all was made from, beside what each model says itself: commit, versions, kernel.
    commands : tuple of (str, str)
        What it rebuilds, and the command.
    """

    dataset: str
    stands_in_for: str | None
    title: str
    models: tuple[ModelResult, ...]
    search: Search | None = None
    lineage: tuple[tuple[str, str], ...] = ()
    commands: tuple[tuple[str, str], ...] = ()

    @property
    def winner(self) -> ModelResult | None:
        """The refitted winner of the search, if it is among the models."""
        return next((model for model in self.models if model.name == WINNER), None)

    @property
    def shown(self) -> ModelResult:
        """The model that is looked at in depth: the winner, or else the most accurate on the test split."""
        return self.winner or max(self.models, key=lambda model: float(model.metrics["test"]["accuracy"]))

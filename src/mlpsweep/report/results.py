"""The results of a pipeline run as values; ``data`` reads them from files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mlpsweep.evaluation.folder import Predictions
from mlpsweep.search.rows import Search
from mlpsweep.training.folder import RunRecord
from mlpsweep.types import LabelArray

WINNER: Final = "winner"
"""Name of the winner's folders under ``train/`` and ``evaluate/``; every other name is a baseline."""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One trained and evaluated model.

    Parameters
    ----------
    name : str
        Name of the model's folder: ``relu``, or ``winner``.
    metrics : mapping
        Figures of every split, identity of data and model.
    history : tuple of mapping
        One mapping per epoch: column to number, or None where nothing was measured.
    class_names : tuple of str
        One name per class.
    confusion : ndarray of shape (n_classes, n_classes), int64
        Test samples by true (row) and predicted (column) class.
    by_class : tuple of mapping
        Precision, recall, F1 and more of each class.
    predictions : Predictions
        Predictions for each test row.
    images : mapping of str to bytes
        PNG files of the evaluation by stem.
    run : RunRecord or None
        Record of the tracked run; None if tracking left no record.
    """

    name: str
    metrics: Mapping[str, Any]
    history: tuple[Mapping[str, float | None], ...]
    class_names: tuple[str, ...]
    confusion: LabelArray
    by_class: tuple[Mapping[str, Any], ...]
    predictions: Predictions
    images: Mapping[str, bytes] = field(default_factory=dict)
    run: RunRecord | None = None

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
        The search that found the winner.
    lineage : tuple of (str, str)
        Name and value of commit, versions and machine.
    commands : tuple of (str, str)
        Purpose and command line of each command that rebuilds the results.
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
        """The model that the report shows in detail: the winner, or else the most accurate one on the test split."""
        return self.winner or max(self.models, key=lambda model: float(model.metrics["test"]["accuracy"]))

"""The results of a pipeline run as values; ``data`` reads them from files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mlpsweep.evaluation.folder import Predictions
from mlpsweep.evaluation.statistics import wilson_interval
from mlpsweep.search.rows import Search
from mlpsweep.tables import FORMATS
from mlpsweep.training.folder import RunRecord
from mlpsweep.types import LabelArray

WINNER: Final = "winner"
"""Name of the winner's folders under ``train/`` and ``evaluate/``; every other name is a baseline."""

N_DIGITS: Final = 8
"""Digits of a hash that a reader sees."""


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
    settings : mapping
        Settings of the training by dotted name.
    n_parameters : int
        Weights and biases of the network.
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
    settings: Mapping[str, Any]
    n_parameters: int
    images: Mapping[str, bytes] = field(default_factory=dict)
    run: RunRecord | None = None

    @property
    def accuracy(self) -> float:
        """Accuracy on the test split, 0 .. 1."""
        return float(self.metrics["test"]["accuracy"])

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the test accuracy."""
        correct = self.predictions.correct
        return wilson_interval(int(correct.sum()), len(correct))

    @property
    def samples(self) -> str:
        """What a row of the data is to a reader: of a table there is no grid of errors."""
        return "images" if "misclassified" in self.images else "rows"

    @property
    def label(self) -> str:
        """Name and accuracy, for titles."""
        return f"{self.name}: {FORMATS['percent'](self.accuracy)} right"

    @property
    def commit(self) -> str:
        """The first digits of the commit that it was trained at, and whether files had been changed; may be empty."""
        made = self.run.made_with if self.run else {}
        commit = str(made.get("mlflow.source.git.commit", ""))[:N_DIGITS]
        return f"{commit}, with uncommitted changes" if commit and made.get("git_dirty") == "true" else commit

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
        The winner if there is one, then the baselines, the most accurate first; at least one model.
    title : str
        The data set's name for readers.
    search : Search or None
        The search that found the winner.
    lineage : tuple of (str, str)
        Name and value of commit, versions and machine.
    commands : tuple of (str, str)
        Purpose and command line of each command that rebuilds the results.
    made : str
        When the page is made, for readers; empty if that is not to be said.
    ui : str
        Address of MLflow's pages, to which runs are linked; empty for no links.
    """

    dataset: str
    stands_in_for: str | None
    title: str
    models: tuple[ModelResult, ...]
    search: Search | None = None
    lineage: tuple[tuple[str, str], ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    made: str = ""
    ui: str = ""

    @property
    def winner(self) -> ModelResult | None:
        """The refitted winner of the search, if it is among the models."""
        return next((model for model in self.models if model.name == WINNER), None)

    @property
    def shown(self) -> ModelResult:
        """The model that the report shows in detail: the winner, or else the most accurate one on the test split."""
        return self.winner or max(self.models, key=lambda model: model.accuracy)

    @property
    def others(self) -> tuple[ModelResult, ...]:
        """All models but the shown one, the most accurate first."""
        return tuple(model for model in self.models if model is not self.shown)

    def address(self, run_id: str) -> str:
        """Return the address of a run in MLflow's pages; empty if they have none."""
        return f"{self.ui}/#/runs/{run_id}" if self.ui and run_id else ""

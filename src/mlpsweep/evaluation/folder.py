"""The folder of one evaluation: writing, reading and checking its files.

Only this module knows the names of the files. Equal evaluations give equal bytes, so that a repeated ``dvc repro``
changes nothing.
"""

import contextlib
import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np

from mlpsweep.errors import DataError, DataFormatError
from mlpsweep.evaluation.metrics import Evaluation, confused_pairs
from mlpsweep.files import beside, read_bytes, read_json, read_text, write_atomic, write_json
from mlpsweep.tables import Column, Table, finite, is_number
from mlpsweep.types import FloatArray, LabelArray

REMEDY: Final = "Evaluate the model again, with `dvc repro` or `python -m pipeline.evaluate`."
WRITTEN: Final = ("metrics.json", "lineage.json", "predictions.csv")
"""Names of files of every such folder."""
SPLITS: Final = ("train", "test")
"""Keys of ``metrics.json`` that every folder has."""
LINEAGE: Final = MappingProxyType({"dataset": str, "stands_in_for": str | None, "title": str, "model": dict})
"""What ``lineage.json`` says: which data, and which model. Folders of earlier times have it in ``metrics.json``."""

TRUE: Final = "true"
PREDICTED: Final = "predicted "
"""Column keys of the confusion matrix: a class may be called "true"."""

PER_CLASS: Final = (
    Column("class", "class"),
    Column("support", "rows", "count"),
    Column("precision", "precision", "percent"),
    Column("recall", "recall", "percent"),
    Column("f1-score", "F1", "percent"),
    Column("roc_auc", "ROC-AUC", "number"),
    Column("taken_for", "most taken for"),
    Column("n_taken_for", "times", "count"),
)


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions of a model for the test rows.

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


@dataclass(frozen=True)
class EvaluationFolder:
    """Metrics, predictions, reports and pictures of one evaluated model.

    Parameters
    ----------
    path : Path
        The folder; it may be missing until an evaluation is saved.

    Raises
    ------
    DataError
        By every method that reads, if the file is missing.
    DataFormatError
        By every method that reads, if the file is not what :meth:`save` writes.
    """

    path: Path

    @classmethod
    def beside(cls, training: Path) -> Self:
        """Return the default folder of an evaluation, which lies beside the training's folder."""
        return cls(beside(training, ".evaluation"))

    @property
    def exists(self) -> bool:
        """Whether an evaluation was saved here."""
        return self._metrics.exists()

    @property
    def files(self) -> list[Path]:
        """Every file in the folder, by name."""
        return sorted(self.path.iterdir())

    @property
    def _metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def _lineage(self) -> Path:
        return self.path / "lineage.json"

    def save(self, evaluation: Evaluation, pictures: Mapping[str, bytes]) -> None:
        """Write all files, each whole or not at all; they replace those of an earlier evaluation.

        Parameters
        ----------
        evaluation : Evaluation
            Figures to write; not modified.
        pictures : mapping of str to bytes
            PNG files by stem.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        write_json(self._metrics, metrics_json(evaluation))
        write_json(self._lineage, lineage_json(evaluation))
        write_json(self.path / "classification_report.json", evaluation.report)
        write_atomic(self.path / "classification_report.txt", evaluation.report_text.encode())
        tables = {"predictions": predictions_table, "confusion_matrix": confusion_table, "per_class": per_class_table}
        for name, table in tables.items():
            write_atomic(self.path / f"{name}.csv", table(evaluation).to_csv().encode())
        for name, png in pictures.items():
            write_atomic(self.path / f"{name}.png", png)

    def metrics(self) -> dict[str, Any]:
        """Return the figures of every split, the identity of data and model, and the pairs of confused classes."""
        splits = read_json(self._metrics, REMEDY)
        with _parsing(self._metrics):
            _check_splits(splits)
        named = splits if LINEAGE.keys() <= splits.keys() else read_json(self._lineage, REMEDY)
        with _parsing(self._lineage):
            _check_lineage(named)
        names, counts = self.confusion()
        return {**splits, **named, "confused_pairs": [asdict(pair) for pair in confused_pairs(counts, names)]}

    def f1(self) -> tuple[float, ...]:
        """Return F1 of each class on the test split, in class order."""
        path = self.path / "classification_report.json"
        report = read_json(path, REMEDY)
        with _parsing(path):
            classes = [value for value in report.values() if isinstance(value, dict)]
            return tuple(float(value["f1-score"]) for value in classes[: -len(("macro avg", "weighted avg"))])

    def by_class(self) -> tuple[dict[str, Any], ...]:
        """Return scikit-learn's precision, recall and F1 of each class, ROC-AUC and the commonest confusion."""
        path = self.path / "per_class.csv"
        kinds: Mapping[str, Callable[[str], Any]] = {"class": str, "taken_for": str, "support": int, "n_taken_for": int}
        with _parsing(path):
            lines = list(csv.DictReader(read_text(path, REMEDY).splitlines()))
            if not lines or not {column.key for column in PER_CLASS} <= lines[0].keys():
                raise ValueError("it has not the columns of a table by class")
            return tuple(
                {
                    column.key: kinds.get(column.key, finite)(cell) if (cell := line[column.key]) else None
                    for column in PER_CLASS
                }
                for line in lines
            )

    def predictions(self) -> Predictions:
        """Return the predictions for the test rows, at least one."""
        path = self.path / "predictions.csv"
        with _parsing(path):
            lines = list(csv.DictReader(read_text(path, REMEDY).splitlines()))
            if not lines:
                raise ValueError("it has no rows")
            rows, labels, predicted = (
                np.array([int(line[key]) for line in lines], dtype=np.int64) for key in ("row", "label", "predicted")
            )
            confidence = np.array([finite(line["probability"]) for line in lines])
            if min(rows.min(), labels.min(), predicted.min(), confidence.min()) < 0 or confidence.max() > 1:
                raise ValueError("a number is out of range")
            return Predictions(rows, labels, predicted, confidence)

    def confusion(self) -> tuple[tuple[str, ...], LabelArray]:
        """Return class names, and test samples by true (row) and predicted (column) class."""
        path = self.path / "confusion_matrix.csv"
        with _parsing(path):
            header, *lines = csv.reader(read_text(path, REMEDY).splitlines())
            names = tuple(name.removeprefix(PREDICTED) for name in header[1:])
            counts = np.array([[int(cell) for cell in line[1:]] for line in lines], dtype=np.int64)
            if counts.shape != (len(names), len(names)):
                raise ValueError(f"{len(names)} classes and counts of shape {counts.shape}")
            if counts.min() < 0:
                raise ValueError("a count below 0")
            return names, counts

    def pictures(self) -> dict[str, bytes]:
        """Return every PNG file by its stem."""
        return {path.stem: read_bytes(path, REMEDY) for path in sorted(self.path.glob("*.png"))}


@contextlib.contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """Turn a parsing error inside the block into a DataFormatError that names the file."""
    try:
        yield
    except DataError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError, csv.Error) as error:
        raise DataFormatError(f"{path}: not what its name says ({error!r}). Delete it. {REMEDY}") from error


def _check_splits(metrics: Mapping[str, Any]) -> None:
    """Raise an error of parsing unless the figures of each split are numbers."""
    if missing := [name for name in SPLITS if name not in metrics]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    for split in {"train", "validation", "test"} & metrics.keys():
        for name, value in {"accuracy": None, **metrics[split]}.items():
            if not is_number(value):
                raise TypeError(f"{split} {name} is {value!r}")


def _check_lineage(named: Mapping[str, Any]) -> None:
    """Raise an error of parsing unless each part of the identity is of its type."""
    for name, kind in LINEAGE.items():
        if not isinstance(named[name], kind):
            raise TypeError(f"{name} is {named[name]!r}")


def metrics_json(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Return the value of ``metrics.json``: the figures of every split, and nothing but numbers."""
    splits: dict[str, dict[str, float]] = {name: {"n_samples": m.n_samples} for name, m in evaluation.splits.items()}
    for name, value in evaluation.metrics().items():
        split, key = name.split("/")
        splits[split][key] = value
    splits["test"]["accuracy_low"], splits["test"]["accuracy_high"] = evaluation.accuracy_interval
    return splits


def lineage_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the value of ``lineage.json``: which data were measured, and which model."""
    identity = {"dataset": evaluation.dataset, "stands_in_for": evaluation.stands_in_for, "title": evaluation.title}
    return {**identity, "model": dict(evaluation.model)}


def per_class_table(evaluation: Evaluation) -> Table:
    """Return precision, recall, F1 (scikit-learn's), ROC-AUC and the commonest confusion of each class."""
    errors = evaluation.confusion - np.diag(np.diag(evaluation.confusion))
    rows = tuple(
        {"class": name, **evaluation.report[name], "support": int(evaluation.report[name]["support"]), "roc_auc": area}
        | ({"taken_for": evaluation.class_names[line.argmax()], "n_taken_for": int(line.max())} if line.any() else {})
        for name, area, line in zip(evaluation.class_names, evaluation.class_roc_auc, errors, strict=True)
    )
    return Table(f"{evaluation.title}, test split, by class", PER_CLASS, rows)


def predictions_table(evaluation: Evaluation) -> Table:
    """Return one line per test row: ``row, label, predicted, probability`` (of the predicted class)."""
    columns = (evaluation.rows, evaluation.labels, evaluation.predicted_labels, evaluation.confidence)
    rows = tuple(
        {"row": int(row), "label": int(label), "predicted": int(predicted), "probability": float(f"{confidence:.7g}")}
        for row, label, predicted, confidence in zip(*columns, strict=True)
    )
    names = ("row", "label", "predicted", "probability")
    return Table(f"{evaluation.title}, test split, predictions", tuple(Column(n, n, "number") for n in names), rows)


def confusion_table(evaluation: Evaluation) -> Table:
    """Return the counts, one row per true class and one column per predicted class."""
    names = evaluation.class_names
    rows = tuple(
        {TRUE: true, **{f"{PREDICTED}{name}": int(n) for name, n in zip(names, counts, strict=True)}}
        for true, counts in zip(names, evaluation.confusion, strict=True)
    )
    columns = (Column(TRUE, "true"), *(Column(f"{PREDICTED}{name}", name, "count") for name in names))
    return Table(f"{evaluation.title}, test split, predicted classes", columns, rows)

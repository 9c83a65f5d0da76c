"""The files of an evaluation: what is in each, and the writing of all; measures nothing.

Equal evaluations give equal bytes, so that a repeated ``dvc repro`` changes nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from mlpsweep.evaluation.metrics import Evaluation
from mlpsweep.files import write_atomic, write_json
from mlpsweep.tables import Column, Table

TRUE: Final = "true"
PREDICTED: Final = "predicted "
"""Column keys of the confusion matrix: a class may be called "true"."""

PER_CLASS: Final = (
    Column("class", "class"),
    Column("support", "images", "count"),
    Column("precision", "precision", "percent"),
    Column("recall", "recall", "percent"),
    Column("f1-score", "F1", "percent"),
    Column("roc_auc", "ROC-AUC", "number"),
    Column("taken_for", "most taken for"),
    Column("n_taken_for", "times", "count"),
)


def write_evaluation(evaluation: Evaluation, folder: Path, pictures: Mapping[str, bytes]) -> None:
    """Write metrics, predictions, reports and pictures into ``folder``, each file whole or not at all.

    Parameters
    ----------
    evaluation : Evaluation
    folder : Path
        Made if missing; files of an earlier evaluation are replaced.
    pictures : mapping of str to bytes
        PNG files by stem.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    for name, value in (("metrics", metrics_json(evaluation)), ("classification_report", evaluation.report)):
        write_json(folder / f"{name}.json", value)
    write_atomic(folder / "classification_report.txt", evaluation.report_text.encode())
    tables = {"predictions": predictions_table, "confusion_matrix": confusion_table, "per_class": per_class_table}
    for name, table in tables.items():
        write_atomic(folder / f"{name}.csv", table(evaluation).to_csv().encode())
    for name, png in pictures.items():
        write_atomic(folder / f"{name}.png", png)


def metrics_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the figures of every split under its name, with the identity of data and model."""
    splits: dict[str, dict[str, float]] = {name: {"n_samples": m.n_samples} for name, m in evaluation.splits.items()}
    for name, value in evaluation.metrics().items():
        split, key = name.split("/")
        splits[split][key] = value
    splits["test"]["accuracy_low"], splits["test"]["accuracy_high"] = evaluation.accuracy_interval
    pairs = [
        {
            "first": pair.first,
            "second": pair.second,
            "first_as_second": pair.first_as_second,
            "second_as_first": pair.second_as_first,
        }
        for pair in evaluation.confused_pairs
    ]
    identity = {"dataset": evaluation.dataset, "stands_in_for": evaluation.stands_in_for, "title": evaluation.title}
    return {**splits, **identity, "model": dict(evaluation.model), "confused_pairs": pairs}


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

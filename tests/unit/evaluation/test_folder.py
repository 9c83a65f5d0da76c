import csv
import dataclasses
import json
from io import StringIO

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from mlpsweep.errors import DataError
from mlpsweep.evaluation.folder import (
    confusion_table,
    metrics_json,
    per_class_table,
    predictions_table,
    write_evaluation,
)
from mlpsweep.figures.errors import draw_evaluation
from mlpsweep.figures.style import png_bytes
from mlpsweep.files import sha256_file

NAMES = [
    "classification_report.json",
    "classification_report.txt",
    "confused_pairs.png",
    "confusion_matrix.csv",
    "confusion_matrix.png",
    "metrics.json",
    "misclassified.png",
    "per_class.csv",
    "predictions.csv",
    "reliability.png",
]


@pytest.mark.slow
def test_twice_written_is_byte_equal_and_complete(evaluation, tiny_dataset, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        pictures = {name: png_bytes(figure) for name, figure in draw_evaluation(evaluation, tiny_dataset).items()}
        write_evaluation(evaluation, folder, pictures)
    first, second = ({path.name: sha256_file(path) for path in folder.iterdir()} for folder in folders)
    assert first == second
    assert sorted(first) == NAMES


def test_predictions_give_the_accuracy_back(evaluation):
    rows = list(csv.DictReader(StringIO(predictions_table(evaluation).to_csv())))
    labels, predicted = ([int(row[key]) for row in rows] for key in ("label", "predicted"))
    assert accuracy_score(labels, predicted) == evaluation.splits["test"].accuracy
    assert [int(row["row"]) for row in rows] == evaluation.rows.tolist()
    probability = [float(row["probability"]) for row in rows]
    np.testing.assert_allclose(probability, evaluation.probabilities.max(axis=1), rtol=1e-6)


def test_confusion_csv_names_true_and_predicted_classes(evaluation):
    header, *lines = csv.reader(StringIO(confusion_table(evaluation).to_csv()))
    assert header == ["true", *(f"predicted {name}" for name in evaluation.class_names)]
    assert [line[0] for line in lines] == list(evaluation.class_names)
    assert [[int(cell) for cell in line[1:]] for line in lines] == evaluation.confusion.tolist()


def test_per_class_figures_are_the_reports(evaluation):
    rows = per_class_table(evaluation).rows
    assert [row["class"] for row in rows] == list(evaluation.class_names)
    assert rows[8]["recall"] == evaluation.report["8"]["recall"]
    eights = evaluation.confusion[8].copy()
    eights[8] = 0
    assert (rows[8]["taken_for"], rows[8]["n_taken_for"]) == (str(eights.argmax()), eights.max())


def test_metrics_json_says_what_was_measured_on_what(evaluation):
    metrics = json.loads(json.dumps(metrics_json(evaluation), allow_nan=False))
    assert metrics["test"]["accuracy"] == evaluation.splits["test"].accuracy
    assert metrics["dataset"] == "digits"
    assert metrics["stands_in_for"] is None
    assert metrics["model"]["run_key"] == "ab" * 32
    assert len(metrics["model"]["weights_hash"]) == 64


def test_without_the_test_split_nothing_is_drawn(evaluation, tiny_dataset):
    with pytest.raises(DataError, match="test split is not loaded"):
        draw_evaluation(evaluation, dataclasses.replace(tiny_dataset, test=None))

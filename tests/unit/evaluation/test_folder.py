import csv
import dataclasses
import json
from io import StringIO

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from mlpsweep.errors import DataError
from mlpsweep.evaluation.folder import (
    EvaluationFolder,
    confusion_table,
    lineage_json,
    metrics_json,
    per_class_table,
    predictions_table,
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
    "lineage.json",
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
        pictures = {
            name: png_bytes(figure) for name, figure in draw_evaluation(evaluation, tiny_dataset, "relu 64").items()
        }
        EvaluationFolder(folder).save(evaluation, pictures)
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


def test_metrics_json_holds_numbers_only(evaluation):
    metrics = json.loads(json.dumps(metrics_json(evaluation), allow_nan=False))
    assert metrics["test"]["accuracy"] == evaluation.splits["test"].accuracy
    assert {type(value) for split in metrics.values() for value in split.values()} <= {int, float}


def test_lineage_json_says_what_was_measured_on_what(evaluation):
    lineage = json.loads(json.dumps(lineage_json(evaluation)))
    assert (lineage["dataset"], lineage["stands_in_for"]) == ("digits", None)
    assert lineage["model"]["run_key"] == "ab" * 32
    assert len(lineage["model"]["weights_hash"]) == 64


def test_without_the_test_split_nothing_is_drawn(evaluation, tiny_dataset):
    with pytest.raises(DataError, match="test split is not loaded"):
        draw_evaluation(evaluation, dataclasses.replace(tiny_dataset, test=None), "relu 64")


def test_what_is_saved_is_read_back(evaluation, tmp_path):
    folder = EvaluationFolder(tmp_path / "out")
    assert not folder.exists
    folder.save(evaluation, {"confusion_matrix": b"png"})
    assert folder.exists
    pairs = {"confused_pairs": [dataclasses.asdict(pair) for pair in evaluation.confused_pairs]}
    assert folder.metrics() == json.loads(json.dumps(metrics_json(evaluation) | lineage_json(evaluation) | pairs))
    assert folder.predictions().predicted_labels.tolist() == evaluation.predicted_labels.tolist()
    assert folder.predictions().correct.mean() == evaluation.splits["test"].accuracy
    names, counts = folder.confusion()
    assert (names, counts.tolist()) == (evaluation.class_names, evaluation.confusion.tolist())
    assert folder.f1() == tuple(evaluation.report[name]["f1-score"] for name in evaluation.class_names)
    assert [row["recall"] for row in folder.by_class()] == [evaluation.report[name]["recall"] for name in names]
    assert folder.pictures() == {"confusion_matrix": b"png"}
    assert folder.files[-1].name == "predictions.csv"


READERS = {
    "metrics.json": EvaluationFolder.metrics,
    "lineage.json": EvaluationFolder.metrics,
    "classification_report.json": EvaluationFolder.f1,
    "per_class.csv": EvaluationFolder.by_class,
    "predictions.csv": EvaluationFolder.predictions,
    "confusion_matrix.csv": EvaluationFolder.confusion,
}


@pytest.mark.parametrize("damage", [b"", b"[]", b"null", b"\xff\xfe", b"a,b\n1,x\n", b"\0"], ids=repr)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_a_data_fault_that_names_it_and_the_remedy(evaluation, tmp_path, name, damage):
    folder = EvaluationFolder(tmp_path / "out")
    folder.save(evaluation, {})
    (folder.path / name).write_bytes(damage)
    with pytest.raises(DataError, match=rf"{name}: .*pipeline\.evaluate"):
        READERS[name](folder)


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_or_a_folder_in_its_place_is_a_data_fault(evaluation, tmp_path, name):
    folder = EvaluationFolder(tmp_path / "out")
    folder.save(evaluation, {})
    (folder.path / name).unlink()
    with pytest.raises(DataError, match=f"{name}: no such file"):
        READERS[name](folder)
    (folder.path / name).mkdir()
    with pytest.raises(DataError, match=f"{name}: not a regular file"):
        READERS[name](folder)

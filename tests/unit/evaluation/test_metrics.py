import dataclasses
import itertools

import numpy as np
import pytest
from sklearn import metrics as oracle

from mlpsweep.errors import DataError
from mlpsweep.evaluation.metrics import confused_pairs, evaluate_model
from mlpsweep.nn.network import Params


def test_probabilities_are_the_models(evaluation, model, tiny_dataset):
    test = tiny_dataset.test
    expected = model.predict_probabilities(test.images[test.rows])
    np.testing.assert_allclose(evaluation.probabilities, expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(evaluation.probabilities.sum(axis=1), 1.0, rtol=1e-12)


def test_accuracy_is_scikit_learns(evaluation):
    expected = oracle.accuracy_score(evaluation.labels, evaluation.predicted_labels)
    assert evaluation.splits["test"].accuracy == expected
    assert 0.8 < expected < 1.0


def test_means_over_classes_are_scikit_learns(evaluation, model, tiny_dataset):
    for name, split in evaluation.splits.items():
        rows = getattr(tiny_dataset, name)
        labels, predicted = rows.labels[rows.rows], model.predict_labels(rows.images[rows.rows])
        assert split.balanced_accuracy == pytest.approx(oracle.balanced_accuracy_score(labels, predicted))
        assert split.macro_f1 == pytest.approx(oracle.f1_score(labels, predicted, average="macro"))


def test_loss_is_scikit_learns_log_loss(evaluation):
    expected = oracle.log_loss(evaluation.labels, evaluation.probabilities, labels=range(10))
    assert evaluation.splits["test"].loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["train", "validation"])
def test_splits_learned_from_are_measured_on_their_own_rows(evaluation, model, tiny_dataset, name):
    split = getattr(tiny_dataset, name)
    probabilities = model.predict_probabilities(split.images[split.rows])
    labels = split.labels[split.rows]
    measured = evaluation.splits[name]
    assert measured.n_samples == len(split)
    assert measured.accuracy == pytest.approx(np.mean(probabilities.argmax(axis=1) == labels))
    assert measured.loss == pytest.approx(oracle.log_loss(labels, probabilities, labels=range(10)), rel=1e-5)


def test_confusion_and_report_are_scikit_learns(evaluation):
    labels, predicted = evaluation.labels, evaluation.predicted_labels
    np.testing.assert_array_equal(evaluation.confusion, oracle.confusion_matrix(labels, predicted))
    np.testing.assert_array_equal(evaluation.confusion.sum(axis=1), np.bincount(labels))
    assert evaluation.report_text == oracle.classification_report(labels, predicted, digits=4)
    assert evaluation.report["macro avg"]["f1-score"] == oracle.f1_score(labels, predicted, average="macro")


def test_a_class_that_never_occurs_keeps_its_place(model, tiny_dataset):
    test = tiny_dataset.test
    without_nines = dataclasses.replace(test, rows=test.rows[test.labels[test.rows] != 9])
    params = Params.of(model.params.flat.copy(), model.params.layer_sizes)
    params.biases[0][9] = -1e3  # and it is never predicted either
    never_nine = dataclasses.replace(model, params=params)
    evaluation = evaluate_model(never_nine, dataclasses.replace(tiny_dataset, test=without_nines))
    assert evaluation.confusion.shape == (10, 10)
    assert evaluation.confusion[9].sum() == 0
    assert evaluation.report["9"]["support"] == 0
    f1 = [evaluation.report[name]["f1-score"] for name in evaluation.class_names[:9]]
    assert evaluation.splits["test"].macro_f1 == pytest.approx(np.mean(f1))
    assert evaluation.class_roc_auc[9] is None
    assert "test/roc_auc" not in evaluation.metrics()


def test_roc_auc_is_scikit_learns_one_vs_rest(evaluation):
    labels, probabilities = evaluation.labels, evaluation.probabilities
    mean = oracle.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert evaluation.metrics()["test/roc_auc"] == pytest.approx(mean, rel=1e-12)
    one = oracle.roc_auc_score(labels == 3, probabilities[:, 3])
    assert evaluation.class_roc_auc[3] == one


def test_interval_contains_the_accuracy(evaluation):
    low, high = evaluation.accuracy_interval
    assert low < evaluation.splits["test"].accuracy < high
    assert 0.04 < high - low < 0.10  # 360 images at about 90 %


def test_calibration_error_weighs_bins_by_their_images(evaluation):
    edges = np.linspace(0, 1, 16)
    right = evaluation.labels == evaluation.predicted_labels
    sure = evaluation.confidence
    inside = [(sure > low) & (sure <= high) for low, high in itertools.pairwise(edges)]
    gaps = [abs(right[i].sum() - sure[i].sum()) for i in inside]
    assert evaluation.metrics()["test/calibration_error"] == pytest.approx(sum(gaps) / len(right))


def test_metrics_carry_the_names_that_training_uses(evaluation):
    keys = ("accuracy", "loss", "balanced_accuracy", "macro_f1")
    splits = [f"{split}/{key}" for split in ("train", "validation", "test") for key in keys]
    assert list(evaluation.metrics()) == [*splits, "test/roc_auc", "test/calibration_error"]


def test_an_empty_validation_split_is_left_out(model, tiny_dataset):
    empty = dataclasses.replace(tiny_dataset.validation, rows=tiny_dataset.validation.rows[:0])
    evaluation = evaluate_model(model, dataclasses.replace(tiny_dataset, validation=empty))
    assert list(evaluation.splits) == ["train", "test"]


def test_a_loss_far_beyond_float32_probabilities_stays_exact(tiny_dataset, model):
    params = dataclasses.replace(model.params)
    certain = dataclasses.replace(model, params=type(params).of(params.flat * 1000, params.layer_sizes))
    evaluation = evaluate_model(certain, tiny_dataset)
    logits = certain.predict_logits(tiny_dataset.test.images[tiny_dataset.test.rows]).astype(float)
    gaps = logits.max(axis=1) - logits[np.arange(len(logits)), evaluation.labels]
    assert evaluation.splits["test"].loss == pytest.approx(gaps.mean(), rel=1e-3)
    assert gaps.max() > 800  # exp(-800) is 0 even in float64


def test_without_the_test_split_it_says_so(model, tiny_dataset):
    with pytest.raises(DataError, match=r"test split is not loaded.*with_test=True"):
        evaluate_model(model, dataclasses.replace(tiny_dataset, test=None))


def test_a_model_of_another_data_set_is_refused(model, tiny_dataset):
    with pytest.raises(DataError, match="trained on mnist and the data are digits"):
        evaluate_model(model.with_metadata(dataset="mnist"), tiny_dataset)


def test_confused_pairs_count_both_directions_most_first():
    confusion = np.array([[9, 1, 0], [2, 9, 5], [0, 0, 9]])
    pairs = confused_pairs(confusion, ("a", "b", "c"))
    assert [(p.first, p.second, p.first_as_second, p.second_as_first, p.count) for p in pairs] == [
        ("b", "c", 5, 0, 5),
        ("a", "b", 1, 2, 3),
    ]

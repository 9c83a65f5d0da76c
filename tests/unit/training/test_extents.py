"""Data of any extent are trained on: 2 to 1,000 classes, one row of a class, unbalanced sets, 10 to 10,000 columns."""

import math

import numpy as np
import pytest

from mlpsweep.data.arrays import array_dataset, array_settings
from mlpsweep.settings import TrainSettings
from mlpsweep.training.run import TrainingResult, run_training
from tests.strategies import Array


def trained(x: Array, labels: Array, n_validation: int = 0, **changed: object) -> TrainingResult:
    data = array_settings(n_validation=n_validation)
    names = [str(k) for k in range(int(labels.max()) + 1)]
    values = {
        "data": data,
        "activation": "relu",
        "hidden_sizes": [16],
        "optimizer": {"name": "adam"},
        "learning_rate": 0.01,
        "batch_size": min(16, len(x) - n_validation),
        "n_epochs": 30,
        "monitor": "validation" if n_validation else "none",
    }
    return run_training(TrainSettings.build({**values, **changed}), array_dataset(x, labels, names, data))


def apart(labels: Array, n_features: int, rng: np.random.Generator) -> Array:
    """Rows near a point of their class."""
    points = rng.normal(size=(int(labels.max()) + 1, n_features))
    return points[labels] + 0.1 * rng.normal(size=(len(labels), n_features)) / math.sqrt(n_features)


@pytest.mark.parametrize("n_classes", [2, 3, 100, 1000])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_any_number_of_classes_with_one_row_each(
    n_classes: int, class_weight: str | None, rng: np.random.Generator
) -> None:
    labels = rng.permutation(n_classes)
    x = apart(labels, 20, rng)
    result = trained(x, labels, class_weight=class_weight, hidden_sizes=[64])
    assert result.model.predict_logits(x).shape == (n_classes, n_classes)
    assert result.history[0].train_loss == pytest.approx(math.log(n_classes), rel=0.4)
    assert result.history[-1].train_loss < 0.8 * result.history[0].train_loss


@pytest.mark.parametrize("n_features", [1, 10, 300, 10_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_columns(n_features: int, dtype: type[np.floating], rng: np.random.Generator) -> None:
    labels = np.arange(60) % 3
    x = apart(labels, n_features, rng).astype(dtype)
    result = trained(x, labels, n_validation=12)
    assert result.model.params.flat.dtype == dtype
    assert result.model.predict_logits(x).dtype == dtype
    assert result.history[-1].metrics()["validation/accuracy"] > (0.5 if n_features == 1 else 0.9)


@pytest.mark.parametrize("n_rare", [1, 2])
def test_rare_classes_stay_among_the_training_rows(n_rare: int, rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1, 2], [300, 20, n_rare])
    x = apart(labels, 10, rng)
    result = trained(x, labels, n_validation=64, class_weight="balanced")
    last = result.history[-1].metrics()
    # None of its rows is for validation, so the means are over two classes.
    assert last["validation/balanced_accuracy"] == last["validation/macro_f1"] == 1.0
    assert (result.model.predict_labels(x) == labels).all()


def test_accuracy_hides_what_balanced_accuracy_and_macro_f1_tell() -> None:
    labels = np.repeat([0, 1], [190, 10])
    # Nothing can be told from the columns, so the larger class is the best guess for every row.
    last = trained(np.zeros((200, 10)), labels, n_validation=100).history[-1].metrics()
    assert last["validation/accuracy"] == 0.95
    assert last["validation/balanced_accuracy"] == 0.5
    assert last["validation/macro_f1"] == pytest.approx(0.5 * 190 / 195)

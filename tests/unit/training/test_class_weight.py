"""Weights of classes: in the gradient and nowhere else, 1 on average over the training rows."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mlpsweep.data.arrays import array_dataset, array_settings
from mlpsweep.data.batches import Gatherer
from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import SettingsError
from mlpsweep.nn.activations import ACTIVATIONS
from mlpsweep.nn.losses import softmax_cross_entropy
from mlpsweep.nn.network import Network, init_params
from mlpsweep.nn.optimizers import Sgd
from mlpsweep.nn.products import bind_numpy
from mlpsweep.settings import OptimizerSettings, TrainSettings
from mlpsweep.training.run import run_training
from mlpsweep.training.setup import class_weights
from mlpsweep.training.steps import Steps
from tests.strategies import Array, with_ones

MakeSettings = Callable[..., TrainSettings]
NAMES = ("a", "b", "c")


def blobs(counts: tuple[int, ...], seed: int = 0) -> tuple[Array, Array]:
    """Rows of overlapping classes, as many as told of each."""
    labels = np.repeat(np.arange(len(counts)), counts)
    x = np.random.default_rng(seed).normal(size=(len(labels), 4))
    x[:, :2] += 1.2 * labels[:, np.newaxis]
    return x, labels


def whole_batches(x: Array, labels: Array, class_weight: Any, **changed: Any) -> Any:
    """Train on all rows at once, in their order, in double precision."""
    values = {"hidden_sizes": (5,), "activation": "tanh", "n_epochs": 40, "batch_size": len(x), "shuffle": False}
    settings = TrainSettings(
        data=array_settings(), monitor="none", class_weight=class_weight, **{**values, "learning_rate": 0.5, **changed}
    )
    return run_training(settings, array_dataset(x, labels, NAMES[: labels.max() + 1], array_settings()))


@pytest.mark.parametrize("l2_lambda", [0.0, 0.7])
def test_the_gradient_is_that_of_the_weighted_mean(l2_lambda: float) -> None:
    rng = np.random.default_rng(3)
    params = init_params((6, 5, 3), "he_normal", rng, bias_init="weights", dtype=np.float64)
    network, decay = Network(params, (ACTIVATIONS["tanh"],)), l2_lambda / 7
    x, labels, weights = rng.normal(size=(7, 6)), np.array([0, 2, 1, 2, 2, 0, 1]), np.array([0.3, 2.5, 0.0])
    cache = network.allocate(7)

    def objective() -> float:
        logits = network.forward(with_ones(x), cache)
        losses = [softmax_cross_entropy(logits[i : i + 1], labels[i : i + 1], np.empty((1, 3))) for i in range(7)]
        return float(np.mean(weights[labels] * losses)) + 0.5 * decay * sum(float((w**2).sum()) for w in params.weights)

    numeric = np.empty_like(params.flat)
    for i, value in enumerate(params.flat.copy()):
        ends = []
        for h in (1e-5, -1e-5):
            params.flat[i] = value + h
            ends.append(objective())
        params.flat[i], numeric[i] = value, (ends[0] - ends[1]) / 2e-5
    before, gatherer = params.flat.copy(), Gatherer(x, 1.0, 0.0, 7, x.dtype)
    gatherer.take(np.arange(7))
    steps = Steps(network, Sgd(params, bind_numpy), gatherer, 7, 1, 0.0, rng, weights)
    steps.begin(labels)
    steps.take(0, 1.0, l2_lambda)
    assert_allclose(before - params.flat, numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_weight_of_two_is_a_row_that_is_there_twice(optimizer: str) -> None:
    x, labels = blobs((20, 7))
    twice = np.concatenate([np.arange(27), np.arange(20, 27)])
    group = OptimizerSettings.members[optimizer]()
    weighted = whole_batches(x, labels, {"b": 2.0}, optimizer=group, learning_rate=0.01)
    repeated = whole_batches(x[twice], labels[twice], None, optimizer=group, learning_rate=0.01)
    assert_allclose(weighted.model.params.flat, repeated.model.params.flat, rtol=1e-9)


def test_reported_losses_are_not_weighted() -> None:
    x, labels = blobs((30, 6))
    plain, weighted = (whole_batches(x, labels, told, learning_rate=1e-9, n_epochs=1) for told in (None, "balanced"))
    assert weighted.history[0].train_loss == plain.history[0].train_loss
    assert weighted.model.weights_hash != plain.model.weights_hash


def test_balanced_is_the_mapping_of_inverse_counts_over_the_training_rows(tiny_dataset: Dataset) -> None:
    train = tiny_dataset.train
    rows = np.concatenate([train.rows[train.labels[train.rows] != 3], train.rows[train.labels[train.rows] == 3][:9]])
    dataset = dataclasses.replace(tiny_dataset, train=dataclasses.replace(train, rows=np.sort(rows)))
    counts = np.bincount(train.labels[rows])
    balanced = class_weights("balanced", dataset)
    told = class_weights({str(k): 7.0 / counts[k] for k in range(10)}, dataset)
    assert balanced is not None
    assert told is not None
    assert balanced.dtype == np.float32
    assert_allclose(balanced, len(rows) / (10 * counts), rtol=1e-6)
    assert_allclose(told, balanced, rtol=1e-6)


def test_classes_without_training_rows_take_no_share() -> None:
    x, labels = blobs((6, 2))
    dataset = array_dataset(x, labels, ("a", "b", "never"), array_settings())
    assert_allclose(class_weights("balanced", dataset), [8 / 12, 2.0, 0.0])
    assert_allclose(class_weights({"never": 50.0}, dataset), [1.0, 1.0, 0.0])


def test_weights_that_are_all_alike_change_nothing_but_the_last_digits() -> None:
    x, labels = blobs((9, 8))
    plain, alike = (whole_batches(x, labels, told) for told in (None, {"a": 5.0, "b": 5.0}))
    assert_allclose(alike.model.params.flat, plain.model.params.flat, rtol=1e-9)


def test_balanced_weights_raise_balanced_accuracy_on_an_unbalanced_set() -> None:
    (x, labels), (fresh, truth) = blobs((400, 12, 12)), blobs((400, 400, 400), seed=1)
    plain, balanced = (
        float(np.mean(whole_batches(x, labels, told).model.predict_labels(fresh) == truth))
        for told in (None, "balanced")
    )
    assert balanced > plain + 0.1


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"d": 2.0}, r"class_weight: 'd' is no class; expected a, b, c"),
        ({"a": 0.0, "b": 0.0, "c": 0}, "class_weight: no training row has a weight above 0"),
    ],
    ids=str,
)
def test_weights_that_fit_no_row_are_refused(told: dict[str, float], message: str) -> None:
    x, labels = blobs((4, 4, 4))
    with pytest.raises(SettingsError, match=message):
        whole_batches(x, labels, told)


@pytest.mark.parametrize("told", ["balance", {"3": -1.0}, {"3": float("nan")}, {"3": "2"}, [1.0, 2.0], 2.0], ids=str)
def test_values_that_are_no_weights_are_refused(told: Any, make_settings: MakeSettings) -> None:
    with pytest.raises(SettingsError, match=r"class_weight: .* does not fit; expected one of balanced; or a mapping"):
        make_settings(class_weight=told)

"""Row scores: their mean is the metric itself, and a damaged file is no score."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mlpsweep.data.dataset import Dataset
from mlpsweep.metric import metric_named
from mlpsweep.search.leases import SCORE
from mlpsweep.search.scores import SCORES, row_scores
from mlpsweep.search.settings import METRICS
from mlpsweep.training.run import run_training
from tests.search_lab import base_settings, new_study


@pytest.mark.parametrize("metric", METRICS)
def test_the_mean_is_the_metric(tiny_dataset: Dataset, metric: str) -> None:
    split = tiny_dataset.validation
    # A class of two rows, and one without any, which others are taken for.
    few = np.flatnonzero(split.labels[split.rows] == 4)[2:]
    rows = np.delete(split.rows, np.concatenate([few, np.flatnonzero(split.labels[split.rows] == 8)]))
    dataset = dataclasses.replace(tiny_dataset, validation=dataclasses.replace(split, rows=rows))
    result = run_training(base_settings(hidden_sizes=[8], activation="tanh", n_epochs=2), dataset)
    scores = row_scores(result.model, dataset.validation, metric)
    assert scores.shape == (len(rows),)
    sign = metric_named(metric).sign
    assert sign * scores.mean(dtype=np.float64) == pytest.approx(result.objective(metric), rel=1e-6)


def test_rows_of_macro_f1_are_its_jackknifed_ones(rng: np.random.Generator) -> None:
    labels, logits = rng.choice(3, 400, p=[0.7, 0.2, 0.1]), rng.normal(size=(400, 3))
    logits[np.arange(400), labels] += 1.0

    def macro_f1(kept: slice | list[int]) -> float:
        return float(f1_score(labels[kept], logits[kept].argmax(axis=1), average="macro"))

    without = np.array([macro_f1([j for j in range(400) if j != i]) for i in range(400)])
    pseudo = 400 * macro_f1(slice(None)) - 399 * without
    np.testing.assert_allclose(SCORES["validation/macro_f1"](logits, labels), pseudo, atol=0.02)


def test_every_metric_has_a_score() -> None:
    assert SCORES.keys() == set(METRICS)


def test_scores_come_back_and_damage_is_none(tmp_path: Path) -> None:
    store = new_study(tmp_path).scores
    for scores in ([0.0, 1.0], [1.0, 0.0]):
        store.save("ab", np.array(scores, np.float32))
    loaded = store.load("ab")
    assert loaded is not None
    assert loaded.tolist() == [1.0, 0.0]
    assert store.keys() == {"ab"}
    store.database.run(lambda connection: connection.execute(SCORE.update().values(scores=b"damaged")))
    assert store.load("ab") is None
    assert store.load("cd") is None


def test_the_scores_of_a_training_that_failed_are_empty(tmp_path: Path) -> None:
    store = new_study(tmp_path).scores
    store.save("ab", np.empty(0, np.float32))
    loaded = store.load("ab")
    assert loaded is not None
    assert loaded.size == 0

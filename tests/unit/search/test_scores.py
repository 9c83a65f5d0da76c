"""Row scores: their mean is the metric itself, and a damaged file is no score."""

from pathlib import Path

import numpy as np
import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.search.leases import SCORE
from mlpsweep.search.scores import SCORES, row_scores
from mlpsweep.search.settings import METRICS
from mlpsweep.training.run import run_training
from tests.search_lab import base_settings, new_study


@pytest.mark.parametrize(("metric", "sign"), [("validation/accuracy", 1.0), ("validation/loss", -1.0)])
def test_the_mean_is_the_metric(tiny_dataset: Dataset, metric: str, sign: float) -> None:
    result = run_training(base_settings(hidden_sizes=[8], activation="tanh"), tiny_dataset)
    scores = row_scores(result.model, tiny_dataset.validation, metric)
    assert scores.shape == (len(tiny_dataset.validation),)
    assert sign * scores.mean(dtype=np.float64) == pytest.approx(result.objective(metric), rel=1e-6)


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

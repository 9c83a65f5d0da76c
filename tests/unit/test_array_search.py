"""A search over arrays: what it returns, that it goes on, what it refuses, and its runs in MLflow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

from mlpsweep import MLPClassifier, search_arrays
from mlpsweep.array_search import ArraySearch
from mlpsweep.errors import DataError, SettingsError
from mlpsweep.search import run
from mlpsweep.training.run import run_training
from tests.strategies import Array

SPACE: dict[str, Any] = {
    "learning_rate": {"type": "float", "low": 1e-3, "high": 0.1, "log": True},
    "hidden_sizes": {"type": "categorical", "choices": [[8], [4, 4]]},
}
BASE = MLPClassifier(hidden_sizes=(8,), n_epochs=4, learning_rate=0.01, random_state=5)


@pytest.fixture(scope="module")
def wine() -> tuple[Array, Array]:
    x, y = load_wine(return_X_y=True)
    return StandardScaler().fit_transform(x), np.array(["a", "b", "c"])[y]


def searched(wine: tuple[Array, Array], folder: Path, **changed: Any) -> ArraySearch:
    return search_arrays(
        *wine, **{"space": SPACE, "n_trials": 4, "estimator": BASE, "folder": folder, "pruner": "none", **changed}
    )


def test_it_returns_the_best_trial_and_a_classifier_of_its_settings(wine: tuple[Array, Array], tmp_path: Path) -> None:
    found = searched(wine, tmp_path)
    values = [trial.value for trial in found.trials]
    assert len(values) == 4
    assert found.value == max(value for value in values if value is not None)
    assert found.trials[0].params == {"learning_rate": 0.01, "hidden_sizes": "[8]"}
    assert found.study.startswith("arrays-")
    best = found.classifier
    assert (best.learning_rate, best.hidden_sizes) == (found.settings.learning_rate, found.settings.hidden_sizes)
    assert best.random_state == found.settings.seed
    assert best.classes_.tolist() == ["a", "b", "c"]
    assert best.score(*wine) > 0.8
    again = clone(best).fit(*wine)
    assert again.model_.weights_hash == best.model_.weights_hash
    assert not hasattr(BASE, "n_features_in_")


def test_the_same_call_trains_the_difference(
    wine: tuple[Array, Array], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Any] = []

    def counted(*arguments: Any, **hooks: Any) -> Any:
        trained.append(arguments)
        return run_training(*arguments, **hooks)

    monkeypatch.setattr(run, "run_training", counted)
    n_trained = []
    for n_trials in (2, 2, 3):
        searched(wine, tmp_path, n_trials=n_trials)
        n_trained.append(len(trained))
    assert n_trained == [2, 2, 3]


@pytest.mark.parametrize("metric", ["validation/balanced_accuracy", "validation/macro_f1", "validation/loss"])
def test_any_metric_is_searched_for_on_unbalanced_rows(wine: tuple[Array, Array], tmp_path: Path, metric: str) -> None:
    x, y = wine
    few = np.flatnonzero((y != "b") | (np.cumsum(y == "b") <= 5))
    space = {**SPACE, "class_weight": {"type": "categorical", "choices": [None, "balanced"]}}
    found = searched((x[few], y[few]), tmp_path, space=space, metric=metric, pruner="promote", n_trials=6)
    values = [trial.value for trial in found.trials if trial.value is not None]
    assert found.value == (min(values) if metric.endswith("loss") else max(values))
    assert found.classifier.class_weight == found.settings.class_weight


def test_weights_by_label_and_groups_reach_trials_and_classifier(wine: tuple[Array, Array], tmp_path: Path) -> None:
    choices = {"adam": {}, "momentum": {"momentum": {"type": "float", "low": 0.5, "high": 0.9}}}
    base = clone(BASE).set_params(class_weight={"b": 2.0}, settings={"initializer": "he_normal"})
    space = {"optimizer": {"type": "group", "choices": choices}}
    found = searched(wine, tmp_path, estimator=base, space=space)
    assert found.settings.class_weight == {"b": 2.0}
    assert found.settings.initializer == "he_normal"
    assert found.classifier.class_weight == {"b": 2.0}
    assert found.classifier.settings == {"initializer": "he_normal"}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"space": {}}, SettingsError, "dimensions: empty"),
        ({"space": {"bias": SPACE["learning_rate"]}}, SettingsError, "dimensions.bias"),
        (
            {"space": {"patience": {"type": "int", "low": 1, "high": 3}}},
            SettingsError,
            "space: patience; expected what",
        ),
        ({"n_trial": 3}, SettingsError, r"search.n_trial: no such setting \(did you mean n_trials"),
        ({"metric": "test/accuracy"}, SettingsError, "search.metric: 'test/accuracy' does not fit"),
        ({"n_workers": 2}, SettingsError, "search.n_workers: 2"),
        ({"n_validation": 178}, SettingsError, "n_validation: 178 of 178 rows"),
        ({"name": "../up"}, SettingsError, "name: '../up' does not fit"),
        ({"estimator": MLPClassifier(activation="rleu")}, SettingsError, "did you mean relu"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_anything_is_made(
    wine: tuple[Array, Array], tmp_path: Path, changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        searched(wine, tmp_path, **changed)
    assert list(tmp_path.iterdir()) == []


def test_one_class_is_refused(wine: tuple[Array, Array], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="y: 1 class"):
        searched((wine[0][:9], wine[1][:9]), tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning")
def test_asked_to_it_leaves_a_run_for_each_trial_below_one_of_the_search(
    wine: tuple[Array, Array], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    found = searched(wine, tmp_path, name="wine", tracked=True, metric="validation/macro_f1", n_trials=3)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("wine")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (one for one in runs if one.data.tags["role"] == "search")
    trials = [one for one in runs if one.data.tags["role"] == "trial"]
    assert {one.info.status for one in runs} == {"FINISHED"}
    assert {one.data.tags["mlflow.parentRunId"] for one in trials} == {parent.info.run_id}
    values = {int(one.data.tags["trial"]): one.data.metrics["validation/macro_f1"] for one in trials}
    assert values == {trial.number: trial.value for trial in found.trials}
    assert parent.data.params["metric"] == "validation/macro_f1"
    assert parent.data.metrics["best/validation/macro_f1"] == found.value
    assert "search_arrays(X, y" in parent.data.tags["mlflow.note.content"]
    again = searched(wine, tmp_path, name="wine", tracked=True, metric="validation/macro_f1", n_trials=4)
    assert again.study == found.study
    assert len(client.search_runs([experiment.experiment_id])) == 5

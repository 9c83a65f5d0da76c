"""The classifier: scikit-learn's own checks, the pipeline's bits, and what its parameters mean."""

import copy
import dataclasses
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier as Theirs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from mlpsweep import DataSettings, MLPClassifier, TrainSettings, run_training
from mlpsweep.data.arrays import array_dataset, array_settings
from mlpsweep.data.dataset import load_dataset
from mlpsweep.errors import DataError, DivergenceError, SettingsError
from mlpsweep.estimator import training_settings, with_settings
from tests.strategies import Array

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wine() -> tuple[Array, Array]:
    x, y = load_wine(return_X_y=True)
    return StandardScaler().fit_transform(x), y


def quick(**changed: Any) -> MLPClassifier:
    return MLPClassifier(**{"hidden_sizes": (8,), "n_epochs": 10, "learning_rate": 0.01, "random_state": 0, **changed})


def test_scikit_learns_checks_pass_whole() -> None:
    ends = [result["status"] for result in check_estimator(MLPClassifier(), on_skip=None)]
    assert ends.count("passed") > 40
    assert ends.count("passed") + ends.count("skipped") == len(ends)


def test_it_trains_what_run_training_does_to_the_bit(wine: tuple[Array, Array]) -> None:
    x, y = wine
    fitted = quick(random_state=3, optimizer="momentum", l2_lambda=0.1, dropout=0.1).fit(x, y)
    values = {"activation": "relu", "hidden_sizes": (8,), "n_epochs": 10, "learning_rate": 0.01, "seed": 3}
    settings = TrainSettings.build(
        {
            **values,
            "optimizer": {"name": "momentum"},
            "l2_lambda": 0.1,
            "dropout": 0.1,
            "data": array_settings(),
            "monitor": "none",
        }
    )
    result = run_training(settings, array_dataset(x, y, ("0", "1", "2"), array_settings()))
    assert fitted.model_.weights_hash == result.model.weights_hash
    assert fitted.history_ == result.history


def test_in_single_precision_it_has_the_pipelines_weights(prepared_digits: Path, digits_settings: DataSettings) -> None:
    data = dataclasses.replace(digits_settings, n_validation=0)
    digits = load_dataset(prepared_digits, data)
    x = digits.train.images.astype(np.float32)
    x *= digits.scale
    x += digits.shift
    fitted = quick(dtype="float32", class_weight="balanced").fit(x, digits.train.labels)
    settings = training_settings(fitted, fitted.classes_, len(x), data=data, monitor="none")
    assert fitted.model_.weights_hash == run_training(settings, digits).model.weights_hash


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_that_of_weights_and_probabilities(wine: tuple[Array, Array], dtype: str) -> None:
    fitted = quick(dtype=dtype).fit(*wine)
    assert fitted.model_.params.flat.dtype == dtype
    probabilities = fitted.predict_proba(wine[0])
    assert probabilities.dtype == dtype
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(fitted.predict_log_proba(wine[0]), np.log(probabilities), atol=1e-5)


@pytest.mark.parametrize("names", [["low", "mid", "top"], [3, 5, 7], [-1.0, 0.0, 2.0]], ids=str)
def test_labels_come_back_as_they_were(wine: tuple[Array, Array], names: list[Any]) -> None:
    x, y = wine
    fitted = quick().fit(x, np.array(names)[y])
    assert fitted.classes_.tolist() == names
    assert fitted.score(x, np.array(names)[y]) > 0.9
    assert fitted.predict(x).dtype == fitted.classes_.dtype


@pytest.mark.parametrize("weights", ["balanced", {3: 1.0, 5: 30.0, 7: 1.0}, {5.0: np.float64(30.0)}], ids=str)
def test_class_weights_are_given_by_label(wine: tuple[Array, Array], weights: Any) -> None:
    x, y = wine
    labels = np.array([3, 5, 7])[y]
    few = np.flatnonzero((labels != 5) | (np.cumsum(labels == 5) <= 4))
    plain, weighted = (quick(class_weight=told, n_epochs=4).fit(x[few], labels[few]) for told in (None, weights))
    assert (weighted.predict(x) == 5).sum() > (plain.predict(x) == 5).sum()


def test_a_fold_may_lack_a_class_that_is_weighted(wine: tuple[Array, Array]) -> None:
    x, y = wine
    weights = {0: 1.0, 1: 2.0, 2: 3.0}
    assert quick(class_weight=weights).fit(x[y != 2], y[y != 2]).classes_.tolist() == [0, 1]
    with pytest.raises(SettingsError, match="class_weight: 4 is no class of y, and 2 has no weight"):
        quick(class_weight={0: 1.0, 1: 2.0, 4: 3.0}).fit(x, y)


def test_numbers_of_numpy_and_groups_by_name_or_mapping_are_taken(wine: tuple[Array, Array]) -> None:
    plain = quick(hidden_sizes=(8, 4), optimizer="momentum", settings={"schedule": "cosine"}).fit(*wine)
    other = quick(
        hidden_sizes=np.array([8, 4]),
        learning_rate=np.float64(0.01),
        n_epochs=np.int64(10),
        random_state=np.int32(0),
        optimizer={"name": "momentum", "momentum": 0.9},
        settings={"schedule": {"name": "cosine", "warmup_fraction": np.float32(0)}},
    ).fit(*wine)
    assert plain.model_.weights_hash == other.model_.weights_hash


@pytest.mark.parametrize("copied", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy], ids=["pickle", "deep"])
def test_a_copy_predicts_the_same(wine: tuple[Array, Array], copied: Any) -> None:
    fitted = quick().fit(*wine)
    assert np.array_equal(copied(fitted).predict_proba(wine[0]), fitted.predict_proba(wine[0]))


def test_random_states_are_honoured(wine: tuple[Array, Array]) -> None:
    states = [0, 0, 1, np.random.RandomState(7), np.random.RandomState(7), np.random.RandomState(8)]
    hashes = [quick(random_state=state, n_epochs=1).fit(*wine).model_.weights_hash for state in states]
    assert [hashes.index(one) for one in hashes] == [0, 0, 2, 3, 3, 5]


def test_batches_are_no_larger_than_the_rows(wine: tuple[Array, Array]) -> None:
    x, y = wine
    one, other = (quick(batch_size=size).fit(x, y).model_.weights_hash for size in (len(x), 10**6))
    assert one == other


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"activation": "rleu"}, r"activation: 'rleu' does not fit.*did you mean relu"),
        ({"hidden_sizes": (0,)}, "hidden_sizes: "),
        ({"batch_size": 0}, "batch_size: 0 does not fit"),
        ({"n_epochs": -1}, "n_epochs: -1 does not fit"),
        ({"random_state": -1}, "seed: -1 does not fit"),
        ({"optimizer": "rmsprop"}, "optimizer.name: 'rmsprop' is not known"),
        ({"dtype": "float16"}, "dtype: 'float16' does not fit; expected one of float32, float64"),
        ({"class_weight": "balance"}, "class_weight: 'balance' does not fit"),
        ({"settings": {"initialiser": "he_normal"}}, r"settings: 'initialiser' \(did you mean initializer\?\)"),
        ({"settings": {"patience": 3}}, "settings: 'patience'; expected a mapping with keys of initializer"),
        ({"settings": 3}, "settings: 3; expected a mapping"),
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_are_named(wine: tuple[Array, Array], changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        quick(**changed).fit(*wine)


def test_one_class_is_refused_and_divergence_said(wine: tuple[Array, Array]) -> None:
    with pytest.raises(DataError, match=r"y: 1 class, 'only', in 5 rows; expected at least 2"):
        quick().fit(wine[0][:5], ["only"] * 5)
    with pytest.raises(DivergenceError, match="Lower learning_rate"):
        quick(learning_rate=1e20, optimizer="sgd").fit(*wine)
    with pytest.raises(NotFittedError):
        quick().predict(wine[0])


def test_settings_of_a_training_make_the_classifier_that_has_them(wine: tuple[Array, Array]) -> None:
    first = quick(
        optimizer={"name": "momentum", "momentum": 0.5}, settings={"schedule": "cosine", "initializer": "he_normal"}
    )
    settings = training_settings(first, np.arange(3), 178, data=array_settings(), monitor="none")
    again = with_settings(clone(first).set_params(activation="tanh", settings=None), settings)
    assert training_settings(again, np.arange(3), 178, data=array_settings(), monitor="none") == settings
    assert again.settings == {"schedule": "cosine", "initializer": "he_normal"}


def test_it_stands_in_pipelines_grids_and_cross_validation(wine: tuple[Array, Array]) -> None:
    x, y = load_wine(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler().set_output(transform="pandas"), quick(n_epochs=20))
    assert cross_val_score(model, x, y, cv=StratifiedKFold(3)).mean() > 0.9
    grid = {"mlpclassifier__hidden_sizes": [(), (8,)], "mlpclassifier__class_weight": [None, "balanced"]}
    search = GridSearchCV(model, grid, cv=2, scoring="balanced_accuracy", error_score="raise").fit(x, y)
    assert search.best_score_ > 0.9
    assert list(search.best_estimator_[-1].feature_names_in_) == list(x.columns)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # theirs is stopped before it has converged
def test_it_learns_as_well_as_scikit_learns_own(wine: tuple[Array, Array]) -> None:
    x, y = wine
    fold = StratifiedKFold(5, shuffle=True, random_state=0)
    same = {"activation": "relu", "batch_size": 32, "random_state": 0}
    scores: dict[str, list[float]] = {"ours": [], "theirs": []}
    for seed in range(5):
        ours = MLPClassifier(**{**same, "random_state": seed}, hidden_sizes=(16,), n_epochs=30, l2_lambda=0.1)
        theirs = Theirs(**{**same, "random_state": seed}, hidden_layer_sizes=(16,), max_iter=30, alpha=0.1, tol=0.0)
        for name, one in (("ours", ours), ("theirs", theirs)):
            scores[name].append(cross_val_score(one, x, y, cv=fold).mean())
    means = {name: float(np.mean(one)) for name, one in scores.items()}
    errors = [np.std(one, ddof=1) / np.sqrt(len(one)) for one in scores.values()]
    assert abs(means["ours"] - means["theirs"]) < 2 * np.hypot(*errors) + 1e-3


def test_the_readmes_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = re.search(
        "<!-- scikit-learn -->\n```python\n(.*?)```\n<!-- /scikit-learn -->",
        (ROOT / "README.md").read_text(),
        re.DOTALL,
    )
    assert found is not None
    exec(found[1], {"__name__": "readme"})
    said = capsys.readouterr().out
    shares = [float(one) for one in re.findall(r"(\d+\.\d) %", said)]
    assert len(shares) == 3
    assert min(shares) > 90

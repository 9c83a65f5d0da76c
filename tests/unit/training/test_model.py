"""The model's file, hash and predictions."""

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose

from mlpsweep.errors import DataError, DataFormatError, ShapeError
from mlpsweep.nn.network import Params, init_params
from mlpsweep.training.arrays import pack_arrays, unpack_arrays
from mlpsweep.training.model import Model

SIZES = (6, 5, 4, 3)


@pytest.fixture
def model() -> Model:
    params = init_params(SIZES, "he_normal", np.random.default_rng(0), bias_init="weights")
    return Model(params, ("relu", "tanh"), 0.1, -0.5, {"dataset": "digits", "stands_in_for": None})


@pytest.fixture
def images() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 17, (1300, 6), np.uint8)  # more than two pieces


def test_probabilities_follow_the_networks_expression(model: Model, images: npt.NDArray[np.uint8]) -> None:
    (w_0, w_1, w_2), (b_0, b_1, b_2) = model.params.weights, model.params.biases
    a = np.tanh(np.maximum((images * 0.1 - 0.5) @ w_0 + b_0, 0) @ w_1 + b_1)
    e = np.exp(a @ w_2 + b_2)
    assert_allclose(model.predict_probabilities(images), e / e.sum(axis=1, keepdims=True), rtol=1e-4)
    assert np.array_equal(model.predict_labels(images), e.argmax(axis=1))


def test_floats_are_taken_as_pixels(model: Model, images: npt.NDArray[np.uint8]) -> None:
    assert_allclose(model.predict_logits(images.astype(np.float64)), model.predict_logits(images), atol=1e-6)


def test_no_images_give_no_rows(model: Model) -> None:
    assert model.predict_probabilities(np.empty((0, 6), np.uint8)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(4, 5), (6,), (2, 3, 2)])
def test_images_of_another_shape_are_refused(model: Model, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"images: shape .*; expected \(n_samples, 6\)"):
        model.predict_labels(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("copied", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_the_views_of_a_copy_are_views_into_its_own_vector(model: Model, copied: Any) -> None:
    other = copied(model)
    other.params.flat[:] = 0.0
    assert not any(weight.any() for weight in other.params.weights + other.params.biases)
    assert model.params.flat.any()


def test_a_model_in_double_precision_comes_back_with_every_digit(tmp_path: Path) -> None:
    params = init_params(SIZES, "he_normal", np.random.default_rng(0), dtype=np.float64)
    model = Model(params, ("relu", "tanh"), 1.0, 0.0, {"dataset": "arrays"})
    model.save(tmp_path / "model.npz")
    loaded = Model.load(tmp_path / "model.npz")
    assert loaded.params.flat.dtype == np.float64
    assert loaded.weights_hash == model.weights_hash


def test_a_saved_model_comes_back_whole(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "model.npz")
    loaded = Model.load(tmp_path / "model.npz")
    assert (loaded.activations, loaded.scale, loaded.shift) == (model.activations, 0.1, -0.5)
    assert loaded.metadata == model.metadata
    assert loaded.weights_hash == model.weights_hash
    assert (loaded.n_features, loaded.n_classes, loaded.n_parameters) == (6, 3, 74)


def test_equal_models_are_equal_files(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "a.npz")
    twin = dataclasses.replace(model, metadata={"stands_in_for": None, "dataset": "digits"})
    twin.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_hash_follows_every_bit_and_every_shape(model: Model) -> None:
    flat = model.params.flat.copy()
    flat[-1] = np.nextafter(flat[-1], np.float32(9))
    changed = dataclasses.replace(model, params=Params.of(flat, SIZES))
    reshaped = dataclasses.replace(model, params=Params.of(model.params.flat, (1, 37)))
    assert len({model.weights_hash, changed.weights_hash, reshaped.weights_hash}) == 3


def test_metadata_can_be_added(model: Model) -> None:
    assert model.with_metadata(run_key="x").metadata == {"dataset": "digits", "stands_in_for": None, "run_key": "x"}


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npz: no such file\. Train a model: python -m pipeline\.train"):
        Model.load(tmp_path / "none.npz")


@pytest.mark.parametrize("n_kept", [0, 10, 200, -1])
def test_a_truncated_file_is_refused(model: Model, tmp_path: Path, n_kept: int) -> None:
    path = tmp_path / "model.npz"
    model.save(path)
    path.write_bytes(path.read_bytes()[:n_kept])
    with pytest.raises(DataFormatError, match=r"model\.npz: not a model of format 1 \(.*not an archive of arrays"):
        Model.load(path)


Arrays = dict[str, npt.NDArray[Any]]


def about(arrays: Arrays, **changed: object) -> Arrays:
    values = json.loads(arrays["about"].tobytes()) | changed
    return arrays | {"about": np.frombuffer(json.dumps(values).encode(), np.uint8)}


FORGERIES: dict[str, Callable[[Arrays], Arrays]] = {
    "an array is missing": lambda arrays: {name: a for name, a in arrays.items() if name != "bias_1"},
    "an array too many": lambda arrays: arrays | {"more": np.zeros(0)},
    "another dtype": lambda arrays: arrays | {"bias_0": np.zeros(5)},
    "another shape": lambda arrays: arrays | {"weight_0": np.zeros((5, 6), np.float32)},
    "another size": lambda arrays: arrays | {"weight_0": np.zeros((7, 5), np.float32)},
    "no description": lambda arrays: {name: a for name, a in arrays.items() if name != "about"},
    "description is not JSON": lambda arrays: arrays | {"about": np.zeros(3, np.uint8)},
    "another format": lambda arrays: about(arrays, format=2),
    "huge layers": lambda arrays: about(arrays, layer_sizes=[10**9, 5, 4, 3]),
    "negative layers": lambda arrays: about(arrays, layer_sizes=[-6, 5, 4, 3]),
    "unknown activation": lambda arrays: about(arrays, activations=["relu", "swoosh"]),
    "one activation too few": lambda arrays: about(arrays, activations=["relu"]),
    "scale is text": lambda arrays: about(arrays, scale="much"),
}


@pytest.mark.parametrize("kind", sorted(FORGERIES))
def test_a_file_that_does_not_fit_together_is_refused(model: Model, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.npz"
    model.save(path)
    path.write_bytes(pack_arrays(FORGERIES[kind](unpack_arrays(path.read_bytes(), ""))))
    with pytest.raises(DataFormatError, match=r"model\.npz: not a model of format 1 .* Train again"):
        Model.load(path)

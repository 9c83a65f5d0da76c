"""What every optimiser must do; a new one is a row of OPTIMIZERS and its formula in FORMULAS."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mlpsweep.nn.network import Params, init_params
from mlpsweep.nn.optimizers import OPTIMIZERS, Optimizer
from mlpsweep.nn.products import Bind, bind_numpy, bind_scipy
from mlpsweep.settings import OptimizerSettings
from tests.strategies import Array, Dtype, with_ones

SIZES = (200, 90, 3)  # more weights than one block of elementwise updates
KEYWORDS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "momentum": {"momentum": 0.9, "nesterov": True},
    "momentum plain": {"momentum": 0.8, "nesterov": False},
    "adam": {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8, "weight_decay": 0.0},
    "adam decayed": {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8, "weight_decay": 0.7},
}
Step = Callable[[Array], Array]  # gradient -> what is added to the parameters; called once per step


def sgd_formula(rate: float) -> Step:
    return lambda grad: -rate * grad


def momentum_formula(rate: float, momentum: float, nesterov: bool) -> Step:
    velocity: Array | float = 0.0

    def step(grad: Array) -> Array:
        nonlocal velocity
        velocity = momentum * velocity - rate * grad
        return momentum * velocity - rate * grad if nesterov else velocity

    return step


def adam_formula(rate: float, beta_1: float, beta_2: float, epsilon: float, weight_decay: float) -> Step:
    mean: Array | float = 0.0
    square: Array | float = 0.0
    t = 0

    def step(grad: Array) -> Array:
        nonlocal mean, square, t
        t += 1
        mean = beta_1 * mean + (1 - beta_1) * grad
        square = beta_2 * square + (1 - beta_2) * grad**2
        return -rate * (mean / (1 - beta_1**t)) / (np.sqrt(square / (1 - beta_2**t)) + epsilon)

    return step


FORMULAS: dict[str, Callable[..., Step]] = {
    "sgd": sgd_formula,
    "momentum": momentum_formula,
    "momentum plain": momentum_formula,
    "adam": adam_formula,
    "adam decayed": adam_formula,
}

each_optimizer = pytest.mark.parametrize("name", sorted(KEYWORDS))


def make(name: str, dtype: Dtype = np.float64, bind: Bind = bind_numpy) -> tuple[Params, Optimizer]:
    params = init_params(SIZES, "glorot_uniform", np.random.default_rng(0), bias_init="weights", dtype=dtype)
    return params, OPTIMIZERS[name.split()[0]](params, bind, **KEYWORDS[name])


def gradients(seed: int, dtype: Dtype = np.float64) -> list[tuple[Array, Array]]:
    """Input and gradient of the affine output of each layer, in a batch of 7."""
    rng = np.random.default_rng(seed)
    ends = zip(SIZES[:-1], SIZES[1:], strict=True)
    return [(rng.normal(size=(7, n)).astype(dtype), rng.normal(size=(7, m)).astype(dtype)) for n, m in ends]


def feature_major(x: Array, grad_z: Array) -> tuple[Array, Array]:
    """The same with a unit as a row, and a row of ones for the biases."""
    return np.ascontiguousarray(with_ones(x).T), np.ascontiguousarray(grad_z.T)


def take_step(optimizer: Optimizer, seed: int, rate: float = 0.1, decay: float = 0.0, factor: float = 1.0) -> None:
    optimizer.begin(rate, decay)
    for layer, (x, grad_z) in reversed(list(enumerate(gradients(seed, optimizer.params.flat.dtype.type)))):
        grad_z *= optimizer.params.flat.dtype.type(factor)
        optimizer.bind_gradient(layer, *feature_major(x, grad_z))()
    optimizer.finish()


def test_the_settings_know_the_same_names_and_keywords() -> None:
    added = {
        name: {field.name for field in dataclasses.fields(member)} - {"name"}
        for name, member in OptimizerSettings.members.items()
    }
    assert added == {name: set(KEYWORDS[name]) for name in OPTIMIZERS}


@each_optimizer
@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("bind", [bind_numpy, bind_scipy])
@pytest.mark.parametrize("small", [0, 300, 100_000])
def test_three_steps_follow_the_formula(
    name: str, decay: float, bind: Bind, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlpsweep.nn.optimizers.SMALL", small)
    params, optimizer = make(name, bind=bind)
    expected = Params.of(params.flat.copy(), SIZES)
    step = FORMULAS[name](0.1, **KEYWORDS[name])
    for seed in range(3):
        grad = Params.zeros(SIZES, np.float64)
        for layer, (x, grad_z) in enumerate(gradients(seed)):
            grad.weights[layer][...] = x.T @ grad_z + decay * expected.weights[layer]
            grad.biases[layer][...] = grad_z.sum(axis=0)
        for weights in expected.weights:  # beside the step, which is told nothing of it
            weights -= 0.1 * KEYWORDS[name].get("weight_decay", 0.0) * weights
        expected.flat[:] += step(grad.flat)
        take_step(optimizer, seed, decay=decay)
        assert_allclose(params.flat, expected.flat, rtol=1e-12, atol=1e-14)


@each_optimizer
def test_a_step_of_size_zero_leaves_every_bit(name: str) -> None:
    params, optimizer = make(name, np.float32)
    before = params.flat.copy()
    take_step(optimizer, seed=0, rate=0.0, decay=0.5)
    assert np.array_equal(params.flat, before)


@each_optimizer
def test_the_penalty_shrinks_weights_and_not_biases(name: str) -> None:
    params, optimizer = make(name)
    before = Params.of(params.flat.copy(), SIZES)
    take_step(optimizer, seed=0, rate=1e-3, decay=0.5, factor=0.0)
    layers = zip(params.weights, before.weights, strict=True)
    assert all(np.linalg.norm(now) < np.linalg.norm(then) for now, then in layers)
    assert all(np.array_equal(now, then) for now, then in zip(params.biases, before.biases, strict=True))


@each_optimizer
def test_dtype_is_kept(name: str) -> None:
    params, optimizer = make(name, np.float32)
    take_step(optimizer, seed=0, decay=0.1)
    assert {params.flat.dtype, *(array.dtype for array in optimizer.state.values())} == {np.dtype(np.float32)}


@each_optimizer
def test_restored_state_goes_on_with_equal_bits(name: str) -> None:
    params, optimizer = make(name, np.float32)
    take_step(optimizer, seed=0)
    copy, twin = make(name, np.float32)
    copy.flat[:] = params.flat
    twin.n_steps = optimizer.n_steps
    for key, array in optimizer.state.items():
        twin.state[key][:] = array
    take_step(optimizer, seed=1)
    take_step(twin, seed=1)
    assert np.array_equal(params.flat, copy.flat)


@each_optimizer
def test_the_gradients_handed_over_are_not_modified(name: str) -> None:
    _, optimizer = make(name)
    x, grad_z = feature_major(*gradients(0)[0])
    x_before, grad_before = x.copy(), grad_z.copy()
    optimizer.begin(0.1, 0.2)
    optimizer.bind_gradient(0, x, grad_z)()
    optimizer.finish()
    assert np.array_equal(x, x_before)
    assert np.array_equal(grad_z, grad_before)


def test_adams_first_step_has_the_size_of_the_learning_rate() -> None:
    params, optimizer = make("adam")
    before = params.flat.copy()
    take_step(optimizer, seed=0, rate=0.25)
    # mean / (1 - beta_1) = g and square / (1 - beta_2) = g**2 at first, so the step is rate * sign(g).
    assert_allclose(np.abs(params.flat - before), 0.25, rtol=1e-4)
    assert math.isclose(optimizer.learning_rate, 0.25)

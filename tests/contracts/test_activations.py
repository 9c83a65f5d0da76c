"""What every activation must do; a new one is a row of ACTIVATIONS and a row of KNOWN."""

import math
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mlpsweep import settings
from mlpsweep.nn.activations import ACTIVATIONS
from tests.strategies import Array, Dtype

# Activation of -1 and of 2, from the definition.
KNOWN = {
    "elu": (math.exp(-1) - 1, 2.0),
    "gelu": tuple(0.5 * z * (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) for z in (-1.0, 2.0)),
    "leaky_relu": (-0.01, 2.0),
    "relu": (0.0, 2.0),
    "sigmoid": (1 / (1 + math.e), 1 / (1 + math.exp(-2))),
    "silu": (-1 / (1 + math.e), 2 / (1 + math.exp(-2))),
    "tanh": (math.tanh(-1), math.tanh(2)),
}

each_activation = pytest.mark.parametrize("name", sorted(ACTIVATIONS))
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def apply(name: str, z: Array) -> tuple[Array, Array]:
    a, slope, scratch = z.copy(), np.full_like(z, np.nan), np.full_like(z, np.nan)
    ACTIVATIONS[name](a, slope, scratch)
    return a, slope


def test_the_settings_know_the_same_names() -> None:
    assert sorted(ACTIVATIONS) == sorted(settings.ACTIVATIONS) == sorted(KNOWN)


@each_activation
@each_dtype
def test_known_values(name: str, dtype: Dtype) -> None:
    a, slope = apply(name, np.array([[-1.0, 2.0]], dtype))
    assert {a.dtype, slope.dtype} == {np.dtype(dtype)}
    assert_allclose(a[0], KNOWN[name], rtol=float(10 * np.finfo(dtype).eps))


@each_activation
def test_slope_matches_the_central_difference(name: str, rng: np.random.Generator) -> None:
    h = 1e-5
    z = rng.uniform(-3.0, 3.0, size=(50, 40))
    z += np.sign(z) * 0.05  # off the kink at 0
    numeric = (apply(name, z + h)[0] - apply(name, z - h)[0]) / (2 * h)
    assert_allclose(apply(name, z)[1], numeric, rtol=1e-6, atol=1e-9)


@each_activation
@each_dtype
def test_large_scores_raise_no_floating_point_flag(name: str, dtype: Dtype) -> None:
    z = np.array([[-1e4, -100.0, -40.0, 0.0, 40.0, 100.0, 1e4]], dtype)
    with np.errstate(all="raise"):
        a, slope = apply(name, z)
    assert np.isfinite(a).all()
    assert np.isfinite(slope).all()


@each_activation
def test_a_loss_of_finiteness_is_not_hidden(name: str) -> None:
    with np.errstate(all="ignore"):
        assert np.isnan(apply(name, np.array([[np.nan]]))[0]).all()


@each_activation
def test_nothing_of_the_batch_is_allocated(name: str, rng: np.random.Generator) -> None:
    z = rng.normal(size=(64, 500)).astype(np.float32)
    slope, scratch = np.empty_like(z), np.empty_like(z)
    ACTIVATIONS[name](z, slope, scratch)
    tracemalloc.start()
    ACTIVATIONS[name](z, slope, scratch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < z.nbytes / 8

"""What the average of parameters must do, for every decay and both dtypes."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mlpsweep.nn.averaging import EVERY, WARMUP, Average
from mlpsweep.nn.network import Params
from tests.strategies import Array, Dtype

SIZES = (200, 90, 3)  # more parameters than one block
each_decay = pytest.mark.parametrize("decay", [0.1, 0.9, 0.99])
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def drawn(seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=Params.zeros(SIZES).flat.size)


def follow(source: Params, average: Average, updates: range) -> None:
    for update in updates:
        source.flat[:] = drawn(update)
        average.follow(update)


@each_decay
@each_dtype
def test_it_is_the_weighted_mean_of_what_it_took_in(decay: float, dtype: Dtype) -> None:
    source = Params.zeros(SIZES, dtype)
    source.flat[:] = drawn(0)
    average = Average(source, decay)
    follow(source, average, range(1, 30))
    taken = [0, *range(1, 30, EVERY)]  # the start, and every fourth update from the first
    kept = [min(decay, t / (t + WARMUP)) for t in range(len(taken))]
    shares = [(1 - kept[t]) * np.prod(kept[t + 1 :]) for t in range(len(taken))]
    assert sum(shares) == pytest.approx(1.0)
    expected = sum(share * drawn(update) for share, update in zip(shares, taken, strict=True))
    assert_allclose(average.params.flat, expected, **({"rtol": 1e-12} if dtype is np.float64 else {"atol": 1e-6}))


@each_decay
@each_dtype
def test_the_source_keeps_every_bit_and_the_average_its_dtype(decay: float, dtype: Dtype) -> None:
    source = Params.zeros(SIZES, dtype)
    average = Average(source, decay)
    follow(source, average, range(1, 6))
    assert np.array_equal(source.flat, drawn(5).astype(dtype))
    assert average.params.flat.dtype == dtype
    assert not np.shares_memory(average.params.flat, source.flat)


@each_decay
@pytest.mark.parametrize("stop", range(1, 10))
def test_a_restored_average_goes_on_with_equal_bits(decay: float, stop: int) -> None:
    source = Params.zeros(SIZES)
    average, twin = Average(source, decay), Average(source, decay)
    follow(source, average, range(1, stop + 1))
    twin.params.flat[:] = average.params.flat
    follow(source, average, range(stop + 1, 20))
    follow(source, twin, range(stop + 1, 20))
    assert np.array_equal(average.params.flat, twin.params.flat)


def test_the_weights_as_drawn_are_soon_forgotten() -> None:
    source = Params.of(np.ones(10, np.float64), (4, 2))
    average = Average(source, 0.99)
    source.flat[:] = 0.0
    left = []
    for update in range(1, 11 * EVERY, EVERY):
        average.follow(update)
        left.append(average.params.flat[0])
    assert left[:2] == pytest.approx([1 / 10, 1 / 55])  # 1 / C(t + 9, 9)
    assert left[-1] < 1e-5


def test_following_allocates_nothing_of_the_size_of_the_parameters() -> None:
    source = Params.zeros((784, 500, 10))
    average = Average(source, 0.99)
    average.follow(1)
    tracemalloc.start()
    average.follow(1 + EVERY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.01 * source.flat.nbytes

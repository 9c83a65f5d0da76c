"""Products write the right numbers where they are told, in any storage order."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mlpsweep.nn.products import (
    Multiply,
    add_column_sums,
    add_product,
    multiply_for,
    multiply_numpy,
    multiply_scipy,
    sum_of_squares,
)
from tests.strategies import Array, Dtype

Order = Literal["C", "F"]
ORDERS: list[tuple[Order, Order]] = [("C", "C"), ("C", "F"), ("F", "C"), ("F", "F")]


@pytest.mark.parametrize("multiply", [multiply_numpy, multiply_scipy])
@pytest.mark.parametrize(("left_order", "right_order"), ORDERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(n=st.integers(1, 5), k=st.integers(1, 5), m=st.integers(1, 5))
def test_product_of_any_shape_and_order(
    multiply: Multiply, left_order: Order, right_order: Order, dtype: Dtype, n: int, k: int, m: int
) -> None:
    rng = np.random.default_rng(n + 10 * k + 100 * m)
    left: Array = np.asarray(rng.normal(size=(n, k)), dtype, order=left_order)
    right: Array = np.asarray(rng.normal(size=(k, m)), dtype, order=right_order)
    out: Array = np.full((n, m), np.nan, dtype)
    multiply(left, right, out)
    assert_allclose(out, left.astype(np.float64) @ right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_is_added_in_place(dtype: Dtype, rng: np.random.Generator) -> None:
    arrays: list[Array] = [rng.normal(size=size).astype(dtype) for size in ((4, 3), (4, 5), (3, 5))]
    x, d, out = arrays
    expected = 0.5 * out + 2.0 * x.T.astype(np.float64) @ d
    add_product(x.T, d, 2.0, out, keep=0.5)
    assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_column_sums_are_added_in_place(dtype: Dtype, rng: np.random.Generator) -> None:
    matrix: Array = rng.normal(size=(4, 3)).astype(dtype)
    out: Array = np.array([1, 2, 3], dtype)
    add_column_sums(matrix, -0.5, out)
    assert_allclose(out, [1, 2, 3] - 0.5 * matrix.sum(axis=0), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sum_of_squares(dtype: Dtype) -> None:
    assert sum_of_squares(np.array([1, -2, 3], dtype)) == 14.0


def test_more_than_one_thread_stays_in_scipys_pool() -> None:
    assert multiply_for(1) is multiply_numpy
    assert multiply_for(2) is multiply_scipy

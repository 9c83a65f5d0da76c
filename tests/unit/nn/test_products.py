"""Products write the right numbers where they are told, in any storage order."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mlpsweep.nn.products import Bind, add_scaled, bind_add, bind_for, bind_numpy, bind_scipy, bind_sum, sum_of_squares
from tests.strategies import Array, Dtype

Order = Literal["C", "F"]
ORDERS: list[tuple[Order, Order]] = [("C", "C"), ("C", "F"), ("F", "C"), ("F", "F")]


@pytest.mark.parametrize("bind", [bind_numpy, bind_scipy])
@pytest.mark.parametrize(("left_order", "right_order"), ORDERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(n=st.integers(1, 5), k=st.integers(1, 5), m=st.integers(1, 5))
def test_product_of_any_shape_and_order(
    bind: Bind, left_order: Order, right_order: Order, dtype: Dtype, n: int, k: int, m: int
) -> None:
    rng = np.random.default_rng(n + 10 * k + 100 * m)
    left: Array = np.asarray(rng.normal(size=(n, k)), dtype, order=left_order)
    right: Array = np.asarray(rng.normal(size=(k, m)), dtype, order=right_order)
    out: Array = np.full((n, m), np.nan, dtype)
    call = bind(left, right, out)
    for _ in range(2):  # a call reads its operands anew
        call()
        assert_allclose(out, left.astype(np.float64) @ right, rtol=1e-4, atol=1e-5)
        left *= 2
        right += 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_is_added_in_place(dtype: Dtype, rng: np.random.Generator) -> None:
    arrays: list[Array] = [rng.normal(size=size).astype(dtype) for size in ((4, 3), (4, 5), (3, 5))]
    x, d, out = arrays
    expected = 0.5 * out + 2.0 * x.T.astype(np.float64) @ d
    bind_sum(x.T, d, out)(2.0, 0.5)
    assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_vector_is_added_in_place(dtype: Dtype) -> None:
    out: Array = np.array([1, 2, 3], dtype)
    add_scaled(np.array([2, 4, 6], dtype), -0.5, out)
    assert out.tolist() == [0, 0, 0]
    bind_add(np.array([2, 4, 6], dtype), out)(0.5)
    assert out.tolist() == [1, 2, 3]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sum_of_squares(dtype: Dtype) -> None:
    assert sum_of_squares(np.array([1, -2, 3], dtype)) == 14.0


def test_more_than_one_thread_stays_in_scipys_pool() -> None:
    assert bind_for(1) is bind_numpy
    assert bind_for(2) is bind_scipy

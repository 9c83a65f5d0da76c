"""Batches: scaling, order, short ends, refusals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mlpsweep.data.batches import Gatherer, check_rows
from mlpsweep.errors import ShapeError
from tests.strategies import Dtype

IMAGES = np.arange(40, dtype=np.uint8).reshape(10, 4) * 6
LABELS = np.arange(10, dtype=np.uint8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_gathered_and_scaled(dtype: Dtype) -> None:
    x = Gatherer(IMAGES, 0.5, -1.0, 3, dtype).gather(np.array([7, 2]))
    assert x.dtype == dtype
    assert_allclose(x[:, :-1], IMAGES[[7, 2]] * 0.5 - 1.0)
    assert (x[:, -1] == 1).all()


def test_floats_are_gathered_as_they_are() -> None:
    images = np.linspace(0, 1, 12).reshape(3, 4)
    assert np.array_equal(Gatherer(images, 1.0, 0.0, 2, np.float64).gather(np.array([2, 0]))[:, :-1], images[[2, 0]])


def test_the_inputs_of_the_biases_are_ones_from_the_start_on() -> None:
    # They are scaled with the rest, which would warn of whatever number the memory held.
    assert (Gatherer(IMAGES, 0.5, -1.0, 1000).x[:, -1] == 1).all()


def test_nothing_is_allocated_after_the_first_batch() -> None:
    gatherer = Gatherer(IMAGES, 1.0, 0.0, 3)
    first = gatherer.gather(np.array([0, 1, 2]))
    assert np.shares_memory(first, gatherer.gather(np.array([5])))


def test_a_row_outside_the_arrays_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"rows: 0 \.\. 10 for images of shape \(10, 4\); expected .* 0 \.\. 9"):
        check_rows(IMAGES, LABELS, np.array([0, 10]))


def test_labels_of_another_length_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"shapes \(10, 4\) and \(9,\); expected one label per image"):
        check_rows(IMAGES, LABELS[:9], np.array([0]))

"""Dropped pixels: how many, which scale, the source of draws."""

import numpy as np
import pytest

from mlpsweep.data.batches import drop_pixels


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_a_share_of_the_pixels_is_dropped_and_the_mean_kept(dropout: float, rng: np.random.Generator) -> None:
    x = np.ones((200, 500), np.float32)
    drop_pixels(x, dropout, rng, np.empty_like(x))
    assert set(np.unique(x)) == {0.0, np.float32(1.0 / (1.0 - dropout))}
    error = np.sqrt(dropout * (1.0 - dropout) / x.size)
    assert (x == 0).mean() == pytest.approx(dropout, abs=5 * error)
    assert x.mean() == pytest.approx(1.0, abs=5 * error / (1.0 - dropout))


def test_equal_generators_drop_the_same_pixels() -> None:
    first, second = (np.ones((3, 4), np.float32) for _ in range(2))
    for x in (first, second):
        drop_pixels(x, 0.5, np.random.default_rng(5), np.empty_like(x))
    np.testing.assert_array_equal(first, second)

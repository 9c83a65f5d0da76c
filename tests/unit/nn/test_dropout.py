"""The dropout mask: how many zeros, which scale, the source of draws."""

import numpy as np
import pytest

from mlpsweep.nn.dropout import draw_mask


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_a_share_is_dropped_and_the_mean_kept(dropout: float, rng: np.random.Generator) -> None:
    mask = np.empty((200, 500), np.float32)
    draw_mask(dropout, rng, mask)
    assert set(np.unique(mask)) == {0.0, np.float32(1.0 / (1.0 - dropout))}
    error = np.sqrt(dropout * (1.0 - dropout) / mask.size)
    assert (mask == 0).mean() == pytest.approx(dropout, abs=5 * error)
    assert mask.mean() == pytest.approx(1.0, abs=5 * error / (1.0 - dropout))


def test_equal_generators_give_the_same_mask() -> None:
    first, second = (np.ones((3, 4), np.float32) for _ in range(2))
    for mask in (first, second):
        draw_mask(0.5, np.random.default_rng(5), mask)
    np.testing.assert_array_equal(first, second)

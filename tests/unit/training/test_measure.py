"""Measuring in pieces equals measuring at once."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mlpsweep.nn.activations import ACTIVATIONS
from mlpsweep.nn.losses import softmax_cross_entropy
from mlpsweep.nn.network import Network, init_params
from mlpsweep.training import measure
from mlpsweep.training.measure import Measurer


@pytest.mark.parametrize("rows_at_a_time", [1, 4, 7, 1000])
def test_pieces_equal_the_whole(rows_at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROWS_AT_A_TIME", rows_at_a_time)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 17, (20, 6), np.uint8), rng.integers(0, 3, 20).astype(np.uint8)
    rows = np.array([0, 3, 4, 5, 9, 13, 14, 19])
    params = init_params((6, 5, 3), "he_normal", rng, dtype=np.float64)
    loss, accuracy = Measurer(Network(params, (ACTIVATIONS["relu"],)), images, 0.1, -1.0).loss_and_accuracy(
        labels, rows
    )
    (w_0, w_1), x = params.weights, images[rows] * 0.1 - 1.0
    logits = np.maximum(x @ w_0, 0) @ w_1
    assert_allclose(loss, softmax_cross_entropy(logits, labels[rows], np.empty_like(logits)))
    assert accuracy == (logits.argmax(axis=1) == labels[rows]).mean()

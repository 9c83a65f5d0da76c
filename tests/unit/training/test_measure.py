"""Measuring in pieces equals measuring at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import f1_score, recall_score

from mlpsweep.nn.activations import ACTIVATIONS
from mlpsweep.nn.losses import softmax_cross_entropy
from mlpsweep.nn.network import Network, init_params
from mlpsweep.training import measure
from mlpsweep.training.measure import Measurer, class_means


@pytest.mark.parametrize("rows_at_a_time", [1, 4, 7, 1000])
def test_pieces_equal_the_whole(rows_at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROWS_AT_A_TIME", rows_at_a_time)
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 17, (20, 6), np.uint8), rng.integers(0, 3, 20).astype(np.uint8)
    rows = np.array([0, 3, 4, 5, 9, 13, 14, 19])
    params = init_params((6, 5, 3), "he_normal", rng, dtype=np.float64)
    measured = Measurer(Network(params, (ACTIVATIONS["relu"],)), images, 0.1, -1.0).measure(labels, rows)
    (w_0, w_1), x = params.weights, images[rows] * 0.1 - 1.0
    logits = np.maximum(x @ w_0, 0) @ w_1
    assert_allclose(measured.loss, softmax_cross_entropy(logits, labels[rows], np.empty_like(logits)))
    assert measured.accuracy == (logits.argmax(axis=1) == labels[rows]).mean()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_means_over_classes_are_scikit_learns_over_those_present(rows: list[tuple[int, int]]) -> None:
    labels, decided = np.array(rows).T
    # The first class is never a row's, but may be taken for one.
    labels = labels + (labels == 0)
    counts = (np.bincount(one, minlength=5) for one in (labels, decided, labels[labels == decided]))
    keywords = {"labels": np.unique(labels), "average": "macro", "zero_division": 0.0}
    recall, f1 = (score(labels, decided, **keywords) for score in (recall_score, f1_score))
    assert class_means(*counts) == pytest.approx((recall, f1), rel=1e-12)

"""Losses: known numbers, the pair of loss and gradient, extremes."""

import math

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose

from mlpsweep.nn.losses import PieceLoss, one_vs_rest_cost, softmax, softmax_cross_entropy
from tests.strategies import Array, Dtype, Labelled, logits_and_labels


def loss_and_grad(logits: Array, labels: Array) -> tuple[float, Array]:
    grad = np.full_like(logits, np.nan)
    return softmax_cross_entropy(logits, labels, grad), grad


def test_zero_logits_cost_the_logarithm_of_the_number_of_classes() -> None:
    loss, grad = loss_and_grad(np.zeros((4, 10)), np.arange(4))
    assert loss == pytest.approx(2.302585, abs=1e-6)
    assert_allclose(grad[0], np.array([0.1 - 1] + [0.1] * 9) / 4)


def test_hand_worked_row() -> None:
    # exp(logits) = (1, 2, 5), so p = (1, 2, 5) / 8 and the loss of class 1 is log 4.
    loss, grad = loss_and_grad(np.log([[1.0, 2.0, 5.0]]), np.array([1]))
    assert loss == pytest.approx(math.log(4))
    assert_allclose(grad, [[0.125, 0.25 - 1, 0.625]])


@given(logits_and_labels(limit=5.0))
def test_gradient_matches_the_central_difference(labelled: Labelled) -> None:
    (logits, labels), h = labelled, 1e-5
    _, grad = loss_and_grad(logits, labels)
    numeric = np.empty_like(logits)
    for index in np.ndindex(logits.shape):
        shift = np.zeros_like(logits)
        shift[index] = h
        numeric[index] = (loss_and_grad(logits + shift, labels)[0] - loss_and_grad(logits - shift, labels)[0]) / (2 * h)
    assert_allclose(grad, numeric, rtol=1e-6, atol=1e-9)


@given(logits_and_labels())
def test_gradient_rows_sum_to_zero_and_probability_rows_to_one(labelled: Labelled) -> None:
    logits, labels = labelled
    assert_allclose(loss_and_grad(logits, labels)[1].sum(axis=1), 0.0, atol=1e-12)
    assert_allclose(softmax(logits).sum(axis=1), 1.0)


@given(logits_and_labels())
def test_a_constant_added_to_a_row_changes_nothing(labelled: Labelled) -> None:
    logits, labels = labelled
    assert_allclose(softmax(logits + 1e3), softmax(logits), rtol=1e-9)
    assert loss_and_grad(logits + 1e3, labels)[0] == pytest.approx(loss_and_grad(logits, labels)[0], abs=1e-9)


@given(logits_and_labels(min_rows=2))
def test_a_batch_is_the_weighted_mean_of_its_parts(labelled: Labelled) -> None:
    logits, labels = labelled
    n, k = len(labels), len(labels) // 3 + 1
    (whole, grad), (head, head_grad), (tail, tail_grad) = (
        loss_and_grad(logits[part], labels[part]) for part in (slice(None), slice(k), slice(k, None))
    )
    assert whole == pytest.approx((k * head + (n - k) * tail) / n)
    assert_allclose(grad, np.vstack([k * head_grad, (n - k) * tail_grad]) / n, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_ten_thousand_raise_no_floating_point_flag(dtype: Dtype) -> None:
    logits: Array = np.array([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0]], dtype)
    with np.errstate(all="raise"):
        loss, grad = loss_and_grad(logits, np.array([0, 1]))
        probabilities = softmax(logits)
        cost = one_vs_rest_cost(logits, np.array([0, 1]))
    assert loss == pytest.approx(1e4)  # rows cost 0 and 20,000
    assert_allclose(grad, np.array([[0, 0, 0], [0.5, -0.5, 0]]), atol=1e-9)
    assert_allclose(probabilities, [[1, 0, 0], [1, 0, 0]], atol=1e-9)
    assert cost == pytest.approx(1.5e4)  # the second row adds -log(1 - p) = 10,000 for class 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 1])
def test_a_logit_that_is_not_finite_shows_in_the_loss(bad: float, column: int) -> None:
    logits = np.zeros((3, 2), np.float32)
    logits[1, column] = bad
    with np.errstate(all="ignore"):
        assert not math.isfinite(loss_and_grad(logits, np.zeros(3, np.intp))[0])


def test_logits_are_not_modified(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(5, 3))
    before = logits.copy()
    loss_and_grad(logits, np.zeros(5, np.intp))
    assert np.array_equal(logits, before)


def test_ten_equal_probabilities_cost_3_25_one_against_the_rest() -> None:
    # -log(1 / 10) - 9 log(9 / 10)
    assert one_vs_rest_cost(np.zeros((2, 10)), np.array([0, 9])) == pytest.approx(3.250830, abs=1e-6)


@given(logits_and_labels(limit=10.0))
def test_one_vs_rest_cost_follows_its_definition(labelled: Labelled) -> None:
    logits, labels = labelled
    p = softmax(logits)
    y = np.eye(logits.shape[1])[labels]
    defined = -(y * np.log(p) + (1 - y) * np.log1p(-p)).sum(axis=1).mean()
    assert one_vs_rest_cost(logits, labels) == pytest.approx(defined, rel=1e-6)


def test_the_first_of_equal_logits_decides() -> None:
    piece = PieceLoss(1, np.empty((2, 3)))
    piece.begin(np.array([0, 1, 1]))
    piece.logits[0] = [[1.0, 1.0, 0.0], [1.0, 1.0, 2.0]]
    assert piece.told(1)[1].tolist() == [2]


@given(logits_and_labels(min_rows=2))
def test_a_piece_gives_each_batch_what_the_rows_give_alone(labelled: Labelled) -> None:
    logits, labels = labelled
    size = len(labels) // 2
    piece = PieceLoss(2, np.empty((logits.shape[1], size)))
    piece.begin(labels[: 2 * size])
    for batch in range(2):
        rows = slice(batch * size, (batch + 1) * size)
        piece.logits[batch] = logits[rows].T
        for call in piece.bind(batch):
            call()
        loss, grad = loss_and_grad(logits[rows], labels[rows])
        assert_allclose(piece.grad.T, grad, atol=1e-12)
        losses, n_correct = piece.told(batch + 1)
        assert losses[batch] == pytest.approx(loss, rel=1e-9, abs=1e-12)
        assert n_correct[batch] == (logits[rows].argmax(axis=1) == labels[rows]).sum()

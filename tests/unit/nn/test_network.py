"""The network as a whole: gradients, known updates, dropout, views."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mlpsweep.data.batches import Gatherer
from mlpsweep.nn.activations import ACTIVATIONS
from mlpsweep.nn.losses import softmax_cross_entropy
from mlpsweep.nn.network import LayerCache, Network, Params, drop_units, init_params, n_parameters
from mlpsweep.nn.optimizers import Sgd
from mlpsweep.nn.products import Bind, Call, bind_numpy, bind_scipy
from mlpsweep.training.steps import Steps
from tests.strategies import Array, Dtype, batches, layer_sizes, with_ones


def objective(network: Network, x: Array, labels: Array, decay: float, seed: int) -> float:
    """Mean cross-entropy plus decay / 2 times the sum of squared weights, the units dropped by ``seed``."""
    cache = network.allocate(len(x))
    logits = network.forward(with_ones(x), cache, np.random.default_rng(seed))
    loss = softmax_cross_entropy(logits, labels, cache[-1].grad.T)
    return loss + 0.5 * decay * sum(float((weights**2).sum()) for weights in network.params.weights)


def gradient(network: Network, x: Array, labels: Array, decay: float, seed: int) -> Array:
    """What a step of size 1 takes away: the gradient, by the code that trains."""
    params = Params.of(network.params.flat.copy(), network.params.layer_sizes)
    stepped = Network(params, network.activations, network.dropout, network.bind)
    rng, optimizer = np.random.default_rng(seed), Sgd(params, network.bind)
    gatherer = Gatherer(x, 1.0, 0.0, len(x), x.dtype)
    gatherer.take(np.arange(len(x)))
    steps = Steps(stepped, optimizer, gatherer, len(x), 1, 0.0, rng)
    steps.begin(labels)
    steps.take(0, 1.0, decay * len(x))
    return network.params.flat - params.flat


def central_difference(f: Callable[[], float], flat: Array, h: float = 1e-5) -> Array:
    numeric = np.empty_like(flat)
    for i, value in enumerate(flat.copy()):
        flat[i] = value + h
        above = f()
        flat[i] = value - h
        numeric[i] = (above - f()) / (2 * h)
        flat[i] = value
    return numeric


def make(names: tuple[str, ...], sizes: tuple[int, ...], dropout: float = 0.0, seed: int = 0) -> Network:
    params = init_params(sizes, "he_normal", np.random.default_rng(seed), bias_init="weights", dtype=np.float64)
    return Network(params, tuple(ACTIVATIONS[name] for name in names), dropout)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@pytest.mark.parametrize("l2_lambda", [0.0, 0.7])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("small", [0, 10_000], ids=["large layers", "small layers"])
def test_gradient_matches_the_central_difference(
    name: str, l2_lambda: float, dropout: float, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlpsweep.nn.optimizers.SMALL", small)
    rng = np.random.default_rng(3)
    network = make((name, name), (6, 5, 4, 3), dropout)
    x, labels = rng.normal(size=(7, 6)), rng.integers(0, 3, 7)
    arguments = (x, labels, l2_lambda / len(x), 11)
    numeric = central_difference(lambda: objective(network, *arguments), network.params.flat)
    assert_allclose(gradient(network, *arguments), numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("names", [(), ("tanh",), ("relu", "sigmoid", "elu")], ids=["none", "one", "mixed"])
def test_gradient_of_other_depths_and_of_mixed_activations(names: tuple[str, ...]) -> None:
    rng = np.random.default_rng(4)
    network = make(names, (5, *range(6, 6 + len(names)), 3))
    x, labels = rng.normal(size=(4, 5)), rng.integers(0, 3, 4)
    numeric = central_difference(lambda: objective(network, x, labels, 0.1, 0), network.params.flat)
    assert_allclose(gradient(network, x, labels, 0.1, 0), numeric, rtol=1e-6, atol=1e-9)


def test_hand_worked_update_without_hidden_layer() -> None:
    # x = (1, 2), all parameters 0: p = (1/2, 1/2), grad_z = (-1/2, 1/2), grad_weight = x^T grad_z, rate 0.1.
    params = Params.zeros((2, 2), np.float64)
    network, x = Network(params, ()), np.array([[1.0, 2.0]])
    params.flat[:] -= 0.1 * gradient(network, x, np.array([0]), 0.0, 0)
    assert_allclose(params.weights[0], [[0.05, -0.05], [0.1, -0.1]])
    assert_allclose(params.biases[0], [0.05, -0.05])
    # Now z = (0.3, -0.3), so the loss is log(1 + exp(-0.6)).
    assert objective(network, x, np.array([0]), 0.0, 0) == pytest.approx(math.log1p(math.exp(-0.6)))


def test_hand_worked_update_with_a_hidden_layer_and_a_penalty() -> None:
    # One tanh unit: x = 1, w = 1, b = 0, a = tanh 1; output weights (1, -1), so z = (a, -a), p_0 = 1 / (1 + exp(-2 a)).
    # With q = 1 - p_0: grad_z = (-q, q), grad of the output weights = a grad_z, of a = -2 q, of w = -2 q (1 - a^2).
    params = Params.zeros((1, 1, 2), np.float64)
    params.weights[0][:], params.weights[1][:] = [[1.0]], [[1.0, -1.0]]
    a = math.tanh(1.0)
    q = 1 - 1 / (1 + math.exp(-2 * a))
    grad = gradient(Network(params, (ACTIVATIONS["tanh"],)), np.array([[1.0]]), np.array([0]), 0.5, 0)
    of_hidden, of_bias = -2 * q * (1 - a * a), [-2 * q * (1 - a * a), -q, q]
    assert_allclose(grad, [of_hidden + 0.5, of_bias[0], -a * q + 0.5, a * q - 0.5, *of_bias[1:]])


@given(sizes=layer_sizes(), data=st.data())
def test_permuting_a_batch_permutes_the_logits(sizes: tuple[int, ...], data: st.DataObject) -> None:
    network = make(("tanh",) * (len(sizes) - 2), sizes)
    x = data.draw(batches(sizes[0]))
    order = np.array(data.draw(st.permutations(range(len(x)))))
    x = with_ones(x)
    logits = network.forward(x, network.allocate(len(x))).copy()
    assert_allclose(network.forward(x[order], network.allocate(len(x))), logits[order], atol=1e-12)


@given(sizes=layer_sizes(), data=st.data())
def test_gradient_of_a_batch_is_the_weighted_mean_of_its_parts(sizes: tuple[int, ...], data: st.DataObject) -> None:
    network = make(("sigmoid",) * (len(sizes) - 2), sizes)
    x = data.draw(batches(sizes[0]).filter(lambda rows: len(rows) > 1))
    labels = np.arange(len(x)) % sizes[-1]
    k = len(x) // 3 + 1
    whole, head, tail = (gradient(network, x[p], labels[p], 0.0, 0) for p in (slice(None), slice(k), slice(k, None)))
    assert_allclose(whole, (k * head + (len(x) - k) * tail) / len(x), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bind", [bind_numpy, bind_scipy])
def test_logits_equal_the_textbooks_expression(dtype: Dtype, bind: Bind) -> None:
    params = init_params((6, 5, 3), "he_normal", np.random.default_rng(0), bias_init="weights", dtype=dtype)
    x: Array = np.random.default_rng(1).normal(size=(4, 6)).astype(dtype)
    network = Network(params, (ACTIVATIONS["tanh"],), 0.0, bind)
    logits = network.forward(with_ones(x), network.allocate(4))
    (w_0, w_1), (b_0, b_1) = params.weights, params.biases
    assert logits.dtype == dtype
    assert_allclose(logits, np.tanh(x @ w_0 + b_0) @ w_1 + b_1, rtol=1e-5, atol=1e-6)


def test_forward_alone_and_training_give_the_same_bits() -> None:
    network = make(("relu", "gelu"), (6, 5, 9, 3), dropout=0.5)
    x = with_ones(np.random.default_rng(1).normal(size=(4, 6)))
    assert np.array_equal(
        network.forward(x, network.allocate(4, trains=False)), network.forward(x, network.allocate(4))
    )


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.9])
def test_dropped_share_and_mean_are_within_five_standard_errors(dropout: float) -> None:
    n = 200_000
    layer = LayerCache(np.ones((2, n), np.float32), *(np.ones((1, n), np.float32) for _ in range(2)))
    drop_units(layer, dropout, np.random.default_rng(0))
    share = float((layer.units == 0).mean())
    assert abs(share - dropout) < 5 * math.sqrt(dropout * (1 - dropout) / n)
    assert_allclose(layer.units[layer.units != 0], 1 / (1 - dropout), rtol=1e-6)
    assert np.array_equal(layer.units, layer.slope)
    assert (layer.a[-1] == 1).all()  # what the next layer's biases meet


def test_no_unit_is_dropped_without_a_generator() -> None:
    x = with_ones(np.random.default_rng(1).normal(size=(4, 6)))
    dropping, whole = (make(("relu",), (6, 5, 3), dropout) for dropout in (0.5, 0.0))
    assert np.array_equal(dropping.forward(x, dropping.allocate(4)), whole.forward(x, whole.allocate(4)))


def test_backward_uses_each_layers_weights_before_it_hands_the_layer_over() -> None:
    network = make(("tanh", "tanh"), (3, 4, 5, 2))
    x, cache, seen = np.ones((2, 4)), network.allocate(2), list[int]()
    network.forward(x, cache)
    cache[-1].grad[...] = 1.0

    def bind(layer: int, _x: Array, _grad: Array) -> Call:
        def spoil() -> None:
            seen.append(layer)
            network.params.blocks[layer][...] = np.nan

        return spoil

    for call in network.bind_backward(x, cache, bind):
        call()
    assert seen == [2, 1, 0]
    assert np.isfinite(cache[0].grad).all()


@given(layer_sizes())
def test_views_cover_the_vector_once(sizes: tuple[int, ...]) -> None:
    params = Params.of(np.arange(n_parameters(sizes), dtype=np.float64), sizes)
    layers = zip(params.weights, params.biases, strict=True)
    assert np.array_equal(np.concatenate([view.ravel() for layer in layers for view in layer]), params.flat)
    assert [weight.shape for weight in params.weights] == list(itertools.pairwise(sizes))
    assert all(view.flags.c_contiguous for view in params.weights)


def test_number_of_parameters_of_the_card() -> None:
    # 784 * 500 + 500 + 500 * 250 + 250 + 250 * 100 + 100 + 100 * 10 + 10
    assert n_parameters((784, 500, 250, 100, 10)) == 543_860


def test_both_dtypes_start_from_the_same_draws() -> None:
    single, double = (init_params((5, 4), "he_normal", np.random.default_rng(0), dtype=d) for d in ("f4", "f8"))
    assert np.array_equal(single.flat, double.flat.astype(np.float32))

"""Several epochs equal scikit-learn's: same weights, same batches, double precision."""

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.neural_network import MLPClassifier

from mlpsweep.data.dataset import Split
from mlpsweep.nn.activations import ACTIVATIONS
from mlpsweep.nn.network import Network, Params, init_params
from mlpsweep.nn.optimizers import OPTIMIZERS
from mlpsweep.nn.products import bind_numpy
from mlpsweep.training.trainer import State, Trainer, TrainingPlan
from tests.strategies import Array

SIZES, BATCH_SIZE, N_EPOCHS, RATE, L2_LAMBDA = (6, 9, 7, 3), 8, 4, 0.05, 0.6
# Our keywords and scikit-learn's. Adam's epsilon is small enough that it does not matter whether it is added before
# the correction of the averages (theirs) or after it (Kingma and Ba's algorithm 1, ours and PyTorch's).
OPTIMIZER_PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sgd": ({}, {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False}),
    "momentum": (
        {"momentum": 0.9, "nesterov": False},
        {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False},
    ),
    "momentum nesterov": (
        {"momentum": 0.9, "nesterov": True},
        {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": True},
    ),
    "adam": (
        {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-14},
        {"solver": "adam", "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-14},
    ),
}


class Seeded(MLPClassifier):  # type: ignore[misc]
    """scikit-learn's classifier, starting from given parameters."""

    def _init_coef(self, fan_in: int, fan_out: int, dtype: type) -> tuple[Array, Array]:
        given: tuple[Array, Array] = next(self.given)
        return given


def ours(params: Params, activation: str, optimizer: str, x: Array, labels: Array) -> Trainer:
    keywords = OPTIMIZER_PAIRS[optimizer][0]
    network = Network(params, (ACTIVATIONS[activation],) * 2)
    state = State(
        network,
        OPTIMIZERS[optimizer.split()[0]](params, bind_numpy, **keywords),
        batch_rng=np.random.default_rng(0),
        dropout_rng=np.random.default_rng(0),
        update=0,
        records=[],
    )
    plan = TrainingPlan(
        rate=lambda update: RATE,
        l2_lambda=L2_LAMBDA,
        batch_size=BATCH_SIZE,
        updates_per_epoch=4,
        n_epochs=N_EPOCHS,
        shuffle=False,
        drop_last=False,
        log_every=1,
        monitor_every=None,
        patience=None,
    )
    return Trainer(state, plan, Split(x, labels, np.arange(len(x))), (1.0, 0.0))


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZER_PAIRS))
@pytest.mark.parametrize(("activation", "theirs"), [("relu", "relu"), ("tanh", "tanh"), ("sigmoid", "logistic")])
def test_parameters_and_losses_equal_scikit_learns(optimizer: str, activation: str, theirs: str) -> None:
    rng = np.random.default_rng(5)
    x, labels = rng.normal(size=(29, 6)), np.arange(29) % 3  # three batches of 8 and one of 5
    params = init_params(SIZES, "glorot_uniform", rng, bias_init="weights", dtype=np.float64)
    model = Seeded(
        SIZES[1:-1],
        activation=theirs,
        alpha=L2_LAMBDA,
        batch_size=BATCH_SIZE,
        learning_rate_init=RATE,
        shuffle=False,
        max_iter=N_EPOCHS,
        n_iter_no_change=100,
        **OPTIMIZER_PAIRS[optimizer][1],
    )
    model.given = iter([(w.copy(), b.copy()) for w, b in zip(params.weights, params.biases, strict=True)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is told to stop before it has converged
        model.fit(x, labels)
    records = list(ours(params, activation, optimizer, x, labels).fit())
    for own, other in zip(params.weights + params.biases, model.coefs_ + model.intercepts_, strict=True):
        assert_allclose(own, other, atol=1e-6)
    # Its loss holds the penalty, weighted by rows over the epoch as ours is.
    assert_allclose([r.train_loss + r.train_penalty for r in records], model.loss_curve_, rtol=1e-6)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZER_PAIRS))
def test_parameters_equal_pytorchs(optimizer: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    x, labels = rng.normal(size=(24, 6)), np.arange(24) % 3
    params = init_params(SIZES, "glorot_uniform", rng, bias_init="weights", dtype=np.float64)
    layers = [torch.nn.Linear(*ends, dtype=torch.float64) for ends in itertools.pairwise(SIZES)]
    for layer, weight, bias in zip(layers, params.weights, params.biases, strict=True):
        layer.weight.data, layer.bias.data = torch.tensor(weight.T.copy()), torch.tensor(bias.copy())
    model = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1], torch.nn.Tanh(), layers[2])
    decay = L2_LAMBDA / BATCH_SIZE  # of weights only, as here
    groups = [
        {"params": [layer.weight for layer in layers], "weight_decay": decay},
        {"params": [layer.bias for layer in layers], "weight_decay": 0.0},
    ]
    keywords = OPTIMIZER_PAIRS[optimizer][0]
    stepper = {
        "sgd": lambda: torch.optim.SGD(groups, lr=RATE),
        "momentum": lambda: torch.optim.SGD(groups, lr=RATE, momentum=0.9),
        "momentum nesterov": lambda: torch.optim.SGD(groups, lr=RATE, momentum=0.9, nesterov=True),
        "adam": lambda: torch.optim.Adam(groups, lr=RATE, betas=(0.9, 0.99), eps=keywords["epsilon"]),
    }[optimizer]()
    for _ in range(N_EPOCHS):
        for first in range(0, 24, BATCH_SIZE):
            piece = slice(first, first + BATCH_SIZE)
            stepper.zero_grad()
            torch.nn.functional.cross_entropy(model(torch.tensor(x[piece])), torch.tensor(labels[piece])).backward()
            stepper.step()
    list(ours(params, "tanh", optimizer, x, labels).fit())
    for layer, weight in zip(layers, params.weights, strict=True):
        assert_allclose(weight, layer.weight.detach().numpy().T, atol=1e-6)

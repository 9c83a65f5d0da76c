"""One epoch of training by each system under comparison: same data, same network, float32, plain SGD.

Every factory takes a :class:`Case` and the data and returns a function without arguments that trains on all rows once.
Imports of the systems stay inside the factories: a worker process loads only what it measures.
"""

import importlib.util
import itertools
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

LEARNING_RATE: Final = 0.01
PREPARED: Final = Path(__file__).resolve().parents[1] / "data/prepared/mnist"
BEFORE: Final = "MLPSWEEP_BEFORE"
"""Variable that names another checkout, to be compared with this one."""


@dataclass(frozen=True)
class Case:
    """What is trained: widths from input to output, rows per update, hidden activation, threads."""

    layer_sizes: tuple[int, ...]
    batch_size: int
    activation: str
    threads: int

    @property
    def flop_per_sample(self) -> int:
        """Floating point operations of the products: three for each weight, but two in the first layer, times two."""
        weights = [fan_in * fan_out for fan_in, fan_out in itertools.pairwise(self.layer_sizes)]
        return 6 * sum(weights) - 2 * weights[0]

    @property
    def shape(self) -> str:
        return "-".join(map(str, self.layer_sizes))


@dataclass(frozen=True)
class Data:
    """Pixels and labels of some rows."""

    images: npt.NDArray[np.uint8]  # (n_rows, n_features)
    labels: npt.NDArray[np.uint8]  # (n_rows,)

    @classmethod
    def get(cls, n_rows: int, n_features: int, n_classes: int) -> "Data":
        """Return the first rows of MNIST if they are of that kind and prepared here, else random ones."""
        if (n_features, n_classes) != (784, 10) or not PREPARED.exists() or n_rows > 60_000:
            return cls.draw(n_rows, n_features, n_classes)
        return cls(
            _first(PREPARED / "train_images.npy", n_rows * n_features).reshape(n_rows, -1),
            _first(PREPARED / "train_labels.npy", n_rows),
        )

    @classmethod
    def draw(cls, n_rows: int, n_features: int, n_classes: int) -> "Data":
        """Return random pixels, four fifths of them 0 as in handwriting, and labels that a linear rule gives."""
        rng = np.random.default_rng(0)
        rule = rng.normal(size=(n_features, n_classes)).astype(np.float32)
        images, labels = np.empty((n_rows, n_features), np.uint8), np.empty(n_rows, np.uint8)
        for first in range(0, n_rows, 500):  # in pieces, so that the peak of memory is not this function's
            piece = images[first : first + 500]
            piece[...] = rng.integers(0, 256, piece.shape, np.uint8) * (rng.random(piece.shape) > 0.8)
            labels[first : first + 500] = (piece @ rule).argmax(axis=1)
        return cls(images, labels)

    def floats(self) -> npt.NDArray[np.float32]:
        return self.images * np.float32(1 / 255)


def _first(file: Path, n: int) -> npt.NDArray[np.uint8]:
    """Read the first numbers of a stored array; pages of a mapped file would count as memory of an epoch."""
    return np.fromfile(file, np.uint8, n, offset=np.load(file, mmap_mode="r").offset)


Epoch = Callable[[], object]


def ours(case: Case, data: Data) -> Epoch:
    from mlpsweep.data.dataset import Split
    from mlpsweep.nn.activations import ACTIVATIONS
    from mlpsweep.nn.network import Network, init_params
    from mlpsweep.nn.optimizers import Sgd
    from mlpsweep.nn.products import bind_for
    from mlpsweep.training.blas import blas_threads
    from mlpsweep.training.trainer import State, Trainer, TrainingPlan

    bind = bind_for(case.threads)
    params = init_params(case.layer_sizes, "glorot_uniform", np.random.default_rng(0))
    network = Network(params, (ACTIVATIONS[case.activation],) * (len(case.layer_sizes) - 2), 0.0, bind)
    state = State(network, Sgd(params, bind), np.random.default_rng(1), np.random.default_rng(2), 0, [])
    updates = -(-len(data.labels) // case.batch_size)
    plan = TrainingPlan(
        lambda update: LEARNING_RATE, 0.0, case.batch_size, updates, 10**9, True, False, 200, None, None
    )
    split = Split(data.images, data.labels, np.arange(len(data.labels)))
    fitted = Trainer(state, plan, split, (1 / 255, 0.0)).fit()

    def epoch() -> None:
        with blas_threads(case.threads):
            next(fitted)

    return epoch


def before(case: Case, data: Data) -> Epoch:
    """What the checkout in ``BEFORE`` does; this process has imported nothing of ours but from there."""
    file = Path(os.environ[BEFORE]) / "benchmarks/systems.py"
    spec = importlib.util.spec_from_file_location("systems_before", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    epoch: Epoch = module.ours(case, data)
    return epoch


def products(case: Case, data: Data) -> Epoch:
    """Nothing but a step's matrix products, each as the fastest of its layouts on this machine."""
    from benchmarks.layouts import fastest_products

    calls = fastest_products(case.layer_sizes, case.batch_size, case.threads)
    updates = -(-len(data.labels) // case.batch_size)

    def epoch() -> None:
        for _ in range(updates):
            for call in calls:
                call()

    return epoch


def sklearn(case: Case, data: Data) -> Epoch:
    from sklearn.neural_network import MLPClassifier

    names = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
    if case.activation not in names:
        raise ImportError(f"scikit-learn has no {case.activation}")
    warnings.simplefilter("ignore")
    model = MLPClassifier(
        case.layer_sizes[1:-1],
        activation=names[case.activation],
        solver="sgd",
        alpha=0.0,
        batch_size=case.batch_size,
        learning_rate_init=LEARNING_RATE,
        momentum=0.0,
        nesterovs_momentum=False,
        random_state=0,
    )
    x, classes = data.floats(), np.arange(case.layer_sizes[-1])
    return lambda: model.partial_fit(x, data.labels, classes=classes)


def torch(case: Case, data: Data) -> Epoch:
    import torch
    from torch import nn

    torch.set_num_threads(case.threads)
    kinds = {
        "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "elu": nn.ELU, "silu": nn.SiLU,
        "leaky_relu": nn.LeakyReLU, "gelu": lambda: nn.GELU(approximate="tanh"),
    }  # fmt: skip
    layers: list[Any] = []
    for fan_in, fan_out in itertools.pairwise(case.layer_sizes):
        layers += [nn.Linear(fan_in, fan_out), kinds[case.activation]()]
    model = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    cost = nn.CrossEntropyLoss()
    x, labels = torch.from_numpy(data.floats()), torch.from_numpy(data.labels.astype(np.int64))

    def epoch() -> None:
        for rows in torch.randperm(len(labels)).split(case.batch_size):
            optimizer.zero_grad()
            cost(model(x[rows]), labels[rows]).backward()
            optimizer.step()

    return epoch


def jax(case: Case, data: Data) -> Epoch:
    """The whole epoch as one compiled scan; rows that do not fill a batch are left out."""
    import jax
    import jax.numpy as jnp

    kinds = {
        "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "elu": jax.nn.elu, "silu": jax.nn.silu,
        "leaky_relu": jax.nn.leaky_relu, "gelu": jax.nn.gelu,
    }  # fmt: skip
    activation = kinds[case.activation]
    x, labels = jnp.asarray(data.floats()), jnp.asarray(data.labels.astype(np.int32))
    keys = iter(jax.random.split(jax.random.key(0), 1_000))
    params = [
        (jax.nn.initializers.glorot_uniform()(next(keys), ends), jnp.zeros(ends[1]))
        for ends in itertools.pairwise(case.layer_sizes)
    ]

    def loss(params: Any, x: Any, labels: Any) -> Any:
        for weight, bias in params[:-1]:
            x = activation(x @ weight + bias)
        logits = x @ params[-1][0] + params[-1][1]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()

    def update(params: Any, rows: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x[rows], labels[rows])
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, grads), value

    def scan(params: Any, key: Any) -> Any:
        n_whole = len(labels) - len(labels) % case.batch_size
        order = jax.random.permutation(key, len(labels))[:n_whole].reshape(-1, case.batch_size)
        return jax.lax.scan(update, params, order)

    compiled = jax.jit(scan)

    def epoch() -> None:
        nonlocal params
        params, values = compiled(params, next(keys))
        values.block_until_ready()

    return epoch


MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ours": "mlpsweep.training.trainer",
        "before": "mlpsweep.training.trainer",
        "products": "benchmarks.layouts",
        "sklearn": "sklearn.neural_network",
        "torch": "torch",
        "jax": "jax",
    }
)
"""What each system loads before its memory is watched."""
SYSTEMS: Final[Mapping[str, Callable[[Case, Data], Epoch]]] = MappingProxyType(
    {"ours": ours, "before": before, "products": products, "sklearn": sklearn, "torch": torch, "jax": jax}
)

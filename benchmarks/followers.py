"""A recipe's training by each system of the speedrun, with the same draws.

First weights, order of the rows, learning rates and distorted images of every system are those of ours, so that only
the arithmetic differs. Imports of the systems stay inside the functions: a process loads only what it measures.

Each function takes the data, brings them into the system's form, and returns a function that trains a recipe on them.
scikit-learn is none of the systems: its ``MLPClassifier`` has neither this initialisation nor this schedule.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import SettingsError
from mlpsweep.nn.network import Params
from mlpsweep.settings import TrainSettings
from mlpsweep.training.run import run_training
from mlpsweep.training.setup import make_plan, make_state
from mlpsweep.types import FloatArray, ImageArray, IndexArray

Train = Callable[[TrainSettings], Params]
Batches = tuple[ImageArray, IndexArray, FloatArray]
"""Images of an epoch, and of some batches of one size the rows, of shape (n, b), and the learning rates."""

FOLLOWED: Final = (
    "activation", "hidden_sizes", "initializer", "learning_rate", "batch_size", "n_epochs", "monitor", "seed", "data",
    "optimizer", "schedule", "augment",
)  # fmt: skip
"""Settings that every system follows; the others must be as they are where nobody sets them."""


def ours(dataset: Dataset) -> Train:
    return lambda settings: run_training(settings, dataset).model.params


def check(settings: TrainSettings) -> None:
    """Refuse settings that the other systems do not follow here."""
    plain = type(settings)(**{name: getattr(settings, name) for name in FOLLOWED})
    others = [
        field.name
        for field in dataclasses.fields(settings)
        if field.metadata.get("identity", True) and getattr(settings, field.name) != getattr(plain, field.name)
    ]
    if others or (settings.activation, settings.optimizer.name) != ("relu", "sgd"):
        names = ", ".join([*others, "activation, optimizer"])
        raise SettingsError(f"speedrun: {names}: others follow only relu, optimizer=sgd and what else is the default.")


def begin(settings: TrainSettings, dataset: Dataset) -> tuple[Params, Iterator[list[Batches]]]:
    """Return the first weights, and epoch by epoch the batches as our training draws them."""
    check(settings)
    manifest = dataset.manifest
    state, plan = make_state(settings, manifest.n_features, manifest.n_classes), make_plan(settings, dataset)
    source, rows, size = dataset.train.images, dataset.train.rows, plan.batch_size
    images = source if plan.augment is None else np.empty_like(source)
    n_whole = len(rows) // size

    def epochs() -> Iterator[list[Batches]]:
        for epoch in range(plan.n_epochs):
            if plan.augment is not None:
                plan.augment(source, rows, images, state.augment_rng)
            order = state.batch_rng.permutation(rows)
            first = epoch * plan.updates_per_epoch
            rates = np.array([plan.rate(first + update) for update in range(plan.updates_per_epoch)], np.float32)
            whole, short = order[: n_whole * size].reshape(n_whole, size), order[n_whole * size :]
            yield [(images, whole, rates[:n_whole]), *([(images, short[None], rates[n_whole:])] if len(short) else [])]

    return state.network.params, epochs()


def torch(dataset: Dataset) -> Train:
    """Eager PyTorch, with its fused update."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    still, labels = torch.tensor(dataset.train.images), torch.from_numpy(dataset.train.labels.astype(np.int64))
    scale, shift = dataset.scale, dataset.shift

    def network(params: Params) -> nn.Sequential:
        layers: list[nn.Module] = []
        for weight, bias in zip(params.weights, params.biases, strict=True):
            layer = nn.Linear(*weight.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(weight.T))
                layer.bias.copy_(torch.from_numpy(bias))
            layers += [layer, nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def train(settings: TrainSettings) -> Params:
        params, epochs = begin(settings, dataset)
        model, cost = network(params), nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(model.parameters(), fused=True)
        for images, rows, rates in itertools.chain.from_iterable(epochs):
            pixels = still if images is dataset.train.images else torch.from_numpy(images)
            for batch, rate in zip(torch.from_numpy(rows), rates.tolist(), strict=True):
                optimizer.param_groups[0]["lr"] = rate
                optimizer.zero_grad()
                x = pixels[batch].float().mul_(scale).add_(shift)
                cost(model(x), labels[batch]).backward()
                optimizer.step()
        blocks = [torch.vstack([layer.weight.T, layer.bias]) for layer in model if isinstance(layer, nn.Linear)]
        return Params.of(torch.cat([block.flatten() for block in blocks]).detach().numpy(), params.layer_sizes)

    return train


def jax(dataset: Dataset) -> Train:
    """An epoch as one compiled scan; a last batch that is short is a scan of its own."""
    import jax
    import jax.numpy as jnp

    still, labels = jnp.asarray(dataset.train.images), jnp.asarray(dataset.train.labels.astype(np.int32))
    scale, shift = dataset.scale, dataset.shift

    def loss(params: Any, x: Any, labels: Any) -> Any:
        for weight, bias in params[:-1]:
            x = jax.nn.relu(x @ weight + bias)
        logits = x @ params[-1][0] + params[-1][1]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()

    def scan(params: Any, images: Any, rows: Any, rates: Any) -> Any:
        def update(params: Any, batch: Any) -> Any:
            rows, rate = batch
            x = images[rows].astype(jnp.float32) * scale + shift
            grads = jax.grad(loss)(params, x, labels[rows])
            return jax.tree.map(lambda p, g: p - rate * g, params, grads), None

        return jax.lax.scan(update, params, (rows, rates))[0]

    compiled = jax.jit(scan, donate_argnums=0)

    def train(settings: TrainSettings) -> Params:
        drawn, epochs = begin(settings, dataset)
        params = [
            (jnp.array(weight), jnp.array(bias)) for weight, bias in zip(drawn.weights, drawn.biases, strict=True)
        ]
        for images, rows, rates in itertools.chain.from_iterable(epochs):
            pixels = still if images is dataset.train.images else jnp.asarray(images)
            params = compiled(params, pixels, rows.astype(np.int32), rates)
            params[0][0].block_until_ready()  # the next epoch's distortions may go into the same array
        blocks = [np.vstack([weight, bias]) for weight, bias in params]
        return Params.of(np.concatenate([block.ravel() for block in blocks]), drawn.layer_sizes)

    return train


SYSTEMS: Final[Mapping[str, Callable[[Dataset], Train]]] = MappingProxyType({"ours": ours, "torch": torch, "jax": jax})
"""Every system by its name."""

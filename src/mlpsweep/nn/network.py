"""The multilayer perceptron: its parameters, and forward and backward over preallocated arrays."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mlpsweep.nn.activations import Activation
from mlpsweep.nn.dropout import draw_mask
from mlpsweep.nn.initializers import INITIALIZERS
from mlpsweep.nn.products import Multiply, multiply_numpy
from mlpsweep.types import FloatArray


def n_parameters(layer_sizes: Sequence[int]) -> int:
    """Return the number of weights and biases of a network with these widths, input and output included.

    Examples
    --------
    >>> n_parameters((784, 128, 10))
    101770
    """
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(layer_sizes))


@dataclass(frozen=True)
class Params:
    """All weights and biases as views into one vector: first every layer's weights, then every layer's biases.

    Parameters
    ----------
    flat : ndarray of shape (n_parameters,)
        The numbers; owned by this object, modified in place by an optimiser.
    layer_sizes : tuple of int
        Widths from the input to the output.
    weights : tuple of ndarray of shape (fan_in, fan_out)
    biases : tuple of ndarray of shape (fan_out,)
    """

    flat: FloatArray
    layer_sizes: tuple[int, ...]
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]

    @classmethod
    def of(cls, flat: FloatArray, layer_sizes: Sequence[int]) -> Self:
        """Return the views into ``flat``, a contiguous vector of ``n_parameters(layer_sizes)`` numbers."""
        ends = list(itertools.pairwise(layer_sizes))
        shapes: list[tuple[int, ...]] = [*ends, *((fan_out,) for _, fan_out in ends)]
        stops = np.cumsum([int(np.prod(shape)) for shape in shapes])
        views = [flat[stop - np.prod(shape) : stop].reshape(shape) for shape, stop in zip(shapes, stops, strict=True)]
        return cls(flat, tuple(layer_sizes), tuple(views[: len(ends)]), tuple(views[len(ends) :]))

    @classmethod
    def zeros(cls, layer_sizes: Sequence[int], dtype: npt.DTypeLike = np.float32) -> Self:
        """Return parameters that are all 0."""
        return cls.of(np.zeros(n_parameters(layer_sizes), dtype), layer_sizes)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy that came from pickle or deepcopy is views into one vector, too.
        return Params.of, (self.flat, self.layer_sizes)

    @property
    def all_weights(self) -> FloatArray:
        """View of every weight, without the biases, as one vector."""
        return self.flat[: self.flat.size - sum(self.layer_sizes[1:])]


def init_params(
    layer_sizes: Sequence[int],
    initializer: str,
    rng: np.random.Generator,
    *,
    init_std: float | None = None,
    bias_init: str = "zeros",
    dtype: npt.DTypeLike = np.float32,
) -> Params:
    """Draw the parameters of a network, layer by layer, weights before biases.

    Parameters
    ----------
    layer_sizes : sequence of int
        Widths from the input to the output.
    initializer : str
        A name of :data:`INITIALIZERS`.
    rng : Generator
        Source of the draws; advanced. Draws are made in float64, so both dtypes start from the same numbers.
    init_std : float or None
        Standard deviation for ``initializer="normal"``.
    bias_init : str
        ``zeros``, or ``weights``: drawn with the standard deviation of the layer's weights.
    dtype : dtype
        Type of the parameters.

    Raises
    ------
    SettingsError
        If a width is below 1 or ``init_std`` is missing.
    """
    params = Params.zeros(layer_sizes, dtype)
    rule = INITIALIZERS[initializer]
    for weight, bias in zip(params.weights, params.biases, strict=True):
        fan_in, fan_out = weight.shape
        std = rule.std(fan_in, fan_out, init_std)
        weight[...] = rule.draw(rng, std, weight.shape)
        if bias_init == "weights":
            bias[...] = rule.draw(rng, std, bias.shape)
    return params


@dataclass(frozen=True, slots=True)
class LayerCache:
    """The arrays that one layer's forward leaves for its backward, each of shape (b, fan_out).

    Parameters
    ----------
    a : ndarray
        Output of the layer; the logits in the last layer.
    slope : ndarray
        Derivative of ``a`` with respect to the layer's affine output, dropped units included; unused in the last layer.
    grad : ndarray
        Scratch space in forward; in backward the gradient of the loss.
    """

    a: FloatArray
    slope: FloatArray
    grad: FloatArray

    def first(self, n: int) -> "LayerCache":
        """Return views of the first ``n`` rows."""
        return LayerCache(self.a[:n], self.slope[:n], self.grad[:n])


Accept = Callable[[int, FloatArray, FloatArray], Any]
"""Called as ``accept(layer, x, grad_z)``: the layer's weights have the gradient ``x.T @ grad_z``, its biases the
column sums of ``grad_z``. After this call ``backward`` does not read the layer's parameters again, so ``accept`` may
overwrite them."""


@dataclass(frozen=True)
class Network:
    """A network: its parameters, and the functions between its layers.

    Parameters
    ----------
    params : Params
    activations : tuple of Activation
        One for each hidden layer; the output layer gives raw scores.
    dropout : float
        Share of each hidden layer's units that a training step drops, 0 <= p < 1; the others are scaled by 1 / (1 - p).
    multiply : callable
        The matrix product, see :func:`mlpsweep.nn.products.multiply_for`.
    """

    params: Params
    activations: tuple[Activation, ...]
    dropout: float = 0.0
    multiply: Multiply = multiply_numpy

    def allocate(self, rows: int, *, trains: bool = True) -> tuple[LayerCache, ...]:
        """Return the arrays for batches of up to ``rows`` rows.

        Without ``trains`` the arrays serve forward only, and all layers share one ``slope`` and one ``grad``.
        """
        widths, dtype = self.params.layer_sizes[1:], self.params.flat.dtype
        if trains:
            return tuple(LayerCache(*(np.empty((rows, width), dtype) for _ in range(3))) for width in widths)
        shared = np.empty((2, rows * max(widths)), dtype)
        views = [tuple(part[: rows * width].reshape(rows, width) for part in shared) for width in widths]
        return tuple(
            LayerCache(np.empty((rows, width), dtype), *view) for width, view in zip(widths, views, strict=True)
        )

    def forward(
        self, x: FloatArray, cache: Sequence[LayerCache], dropout_rng: np.random.Generator | None = None
    ) -> FloatArray:
        """Return the logits of a batch, a view into ``cache``.

        Parameters
        ----------
        x : ndarray of shape (b, n_features)
            Not modified.
        cache : sequence of LayerCache
            One cache of b rows per layer, overwritten.
        dropout_rng : Generator or None
            Draws the units to drop; None drops none.

        Returns
        -------
        ndarray of shape (b, n_classes), valid until the next call with this cache.
        """
        params = self.params
        for i, layer in enumerate(cache):
            self.multiply(x, params.weights[i], layer.a)
            np.add(layer.a, params.biases[i], out=layer.a)
            if i < len(self.activations):
                self.activations[i](layer.a, layer.slope, layer.grad)
                if self.dropout and dropout_rng is not None:
                    drop_units(layer, self.dropout, dropout_rng)
            x = layer.a
        return x

    def backward(self, x: FloatArray, cache: Sequence[LayerCache], grad_logits: FloatArray, accept: Accept) -> None:
        """Hand each layer's gradient to ``accept``, from the last layer to the first.

        Parameters
        ----------
        x : ndarray of shape (b, n_features)
            The batch that forward read.
        cache : sequence of LayerCache
            The caches that forward filled, overwritten.
        grad_logits : ndarray of shape (b, n_classes)
            Gradient of the loss with respect to the logits.
        accept : callable
            May change the layer's parameters in place.
        """
        grad_z = grad_logits
        for i in range(len(cache) - 1, 0, -1):
            below = cache[i - 1]
            self.multiply(grad_z, self.params.weights[i].T, below.grad)
            accept(i, below.a, grad_z)
            np.multiply(below.grad, below.slope, out=below.grad)
            grad_z = below.grad
        accept(0, x, grad_z)


def drop_units(layer: LayerCache, dropout: float, rng: np.random.Generator) -> None:
    """Apply a dropout mask to a layer's activations and slopes; so backward need not know of it."""
    mask = layer.grad
    draw_mask(dropout, rng, mask)
    np.multiply(layer.a, mask, out=layer.a)
    np.multiply(layer.slope, mask, out=layer.slope)

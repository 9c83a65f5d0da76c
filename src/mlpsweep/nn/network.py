"""The multilayer perceptron: its parameters, and forward and backward as calls that are bound to their arrays.

Between the layers a unit is a row and a row of the batch is a column: so every operand of every product is contiguous,
and a bias is one more row of its layer's weights, which meets a row of ones among the inputs.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mlpsweep.nn.activations import Activation
from mlpsweep.nn.dropout import draw_mask
from mlpsweep.nn.initializers import INITIALIZERS
from mlpsweep.nn.products import Bind, Call, bind_numpy
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
    """All weights and biases as views into one vector: layer by layer the weights, and the biases below them.

    Parameters
    ----------
    flat : ndarray of shape (n_parameters,)
        The numbers; owned by this object, modified in place by an optimiser.
    layer_sizes : tuple of int
        Widths from the input to the output.
    blocks : tuple of ndarray of shape (fan_in + 1, fan_out)
        Each layer's weights, with the biases as last row.
    """

    flat: FloatArray
    layer_sizes: tuple[int, ...]
    blocks: tuple[FloatArray, ...]

    @classmethod
    def of(cls, flat: FloatArray, layer_sizes: Sequence[int]) -> Self:
        """Return the views into ``flat``, a contiguous vector of ``n_parameters(layer_sizes)`` numbers."""
        shapes = [(fan_in + 1, fan_out) for fan_in, fan_out in itertools.pairwise(layer_sizes)]
        stops = itertools.accumulate(rows * columns for rows, columns in shapes)
        views = (flat[stop - math.prod(shape) : stop].reshape(shape) for shape, stop in zip(shapes, stops, strict=True))
        return cls(flat, tuple(layer_sizes), tuple(views))

    @classmethod
    def zeros(cls, layer_sizes: Sequence[int], dtype: npt.DTypeLike = np.float32) -> Self:
        """Return parameters that are all 0."""
        return cls.of(np.zeros(n_parameters(layer_sizes), dtype), layer_sizes)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy that came from pickle or deepcopy is views into one vector, too.
        return Params.of, (self.flat, self.layer_sizes)

    @functools.cached_property
    def weights(self) -> tuple[FloatArray, ...]:
        """Each layer's weights, of shape (fan_in, fan_out)."""
        return tuple(block[:-1] for block in self.blocks)

    @functools.cached_property
    def biases(self) -> tuple[FloatArray, ...]:
        """Each layer's biases, of shape (fan_out,)."""
        return tuple(block[-1] for block in self.blocks)


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
    """The arrays of one layer for a batch of b rows.

    Parameters
    ----------
    a : ndarray of shape (fan_out + 1, b), or (n_classes, b) in the last layer
        Output of the layer, which its affine output was before; below it, in a hidden layer, the next one's ones.
    slope : ndarray of shape (fan_out, b)
        Derivative of ``a`` with respect to the layer's affine output, dropped units included; unused in the last layer.
    grad : ndarray of shape (fan_out, b)
        Scratch space in forward; in backward the gradient of the loss.
    """

    a: FloatArray
    slope: FloatArray
    grad: FloatArray

    @property
    def units(self) -> FloatArray:
        """The rows of ``a`` that are units."""
        return self.a[: len(self.grad)]


BindGradient = Callable[[int, FloatArray, FloatArray], Call]
"""Called as ``bind_gradient(layer, x, grad_z)``: returns the call that takes the gradient ``x @ grad_z.T`` of a layer's
block. After it nothing reads the layer's parameters before the step is over, so it may overwrite them."""


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
    bind : callable
        The matrix product, see :func:`mlpsweep.nn.products.bind_for`.
    """

    params: Params
    activations: tuple[Activation, ...]
    dropout: float = 0.0
    bind: Bind = bind_numpy

    def allocate(self, rows: int, *, trains: bool = True) -> tuple[LayerCache, ...]:
        """Return the arrays for batches of ``rows`` rows.

        Without ``trains`` the arrays serve forward only, and all layers share one ``slope`` and one ``grad``.
        """
        widths, dtype = self.params.layer_sizes[1:], self.params.flat.dtype
        shared = None if trains else np.empty((2, max(widths), rows), dtype)
        layers = []
        for i, width in enumerate(widths):
            a = np.ones((width + (i < len(self.activations)), rows), dtype)
            slope, grad = np.empty((2, width, rows), dtype) if shared is None else shared[:, :width]
            layers.append(LayerCache(a, slope, grad))
        return tuple(layers)

    def bind_forward(
        self, x: FloatArray, cache: Sequence[LayerCache], dropout_rng: np.random.Generator | None = None
    ) -> list[Call]:
        """Return the calls that bring a batch to its logits, the last layer's ``a``.

        Parameters
        ----------
        x : ndarray of shape (b, n_features + 1), C-contiguous
            Its last column is 1; read at each call, not modified.
        cache : sequence of LayerCache
            One cache of b rows per layer, overwritten.
        dropout_rng : Generator or None
            Draws the units to drop; None drops none.
        """
        calls: list[Call] = []
        inputs = x.T
        for i, (block, layer) in enumerate(zip(self.params.blocks, cache, strict=True)):
            calls.append(self.bind(block.T, inputs, layer.units))
            if i < len(self.activations):
                calls.append(functools.partial(self.activations[i], layer.units, layer.slope, layer.grad))
                if self.dropout and dropout_rng is not None:
                    calls.append(functools.partial(drop_units, layer, self.dropout, dropout_rng))
            inputs = layer.a
        return calls

    def forward(
        self, x: FloatArray, cache: Sequence[LayerCache], dropout_rng: np.random.Generator | None = None
    ) -> FloatArray:
        """Return the logits of a batch, of shape (b, n_classes), a view into ``cache``; as :meth:`bind_forward`."""
        for call in self.bind_forward(x, cache, dropout_rng):
            call()
        return cache[-1].a.T

    def bind_backward(self, x: FloatArray, cache: Sequence[LayerCache], bind_gradient: BindGradient) -> list[Call]:
        """Return the calls that hand over each layer's gradient, from the last layer to the first.

        Parameters
        ----------
        x : ndarray of shape (b, n_features + 1)
            The batch that forward read.
        cache : sequence of LayerCache
            The caches that forward filled; the last one's ``grad`` is the gradient of the logits. Overwritten.
        bind_gradient : callable
            Makes the call that takes the gradient of a layer.
        """
        calls: list[Call] = []
        for i in range(len(cache) - 1, 0, -1):
            below, grad_z = cache[i - 1], cache[i].grad
            calls.append(self.bind(self.params.weights[i], grad_z, below.grad))
            calls.append(bind_gradient(i, below.a, grad_z))
            calls.append(functools.partial(np.multiply, below.grad, below.slope, below.grad))
        calls.append(bind_gradient(0, x.T, cache[0].grad))
        return calls


def drop_units(layer: LayerCache, dropout: float, rng: np.random.Generator) -> None:
    """Apply a dropout mask to a layer's activations and slopes; so backward need not know of it."""
    mask, units = layer.grad, layer.units
    draw_mask(dropout, rng, mask)
    np.multiply(units, mask, out=units)
    np.multiply(layer.slope, mask, out=layer.slope)

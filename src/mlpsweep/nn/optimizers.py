"""Optimisers, which change the parameters by the gradients of a step, in place; ``schedules`` has the step sizes.

A step is ``begin``, then ``accept`` once for each layer (last layer first, as :meth:`Network.backward` does), then
``finish``. The objective is the mean loss plus ``decay / 2`` times the sum of squared weights, biases excluded, so
each weight's gradient gains ``decay * weight``; ``decay`` is l2_lambda / b.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np

from mlpsweep.nn.network import Params
from mlpsweep.nn.products import Multiply, add_column_sums, add_product
from mlpsweep.types import FloatArray

BLOCK: Final = 16_384
"""Parameters handled at a time by elementwise updates: what they touch stays in a core's own cache."""


class Optimizer(ABC):
    """Base of all optimisers.

    Parameters
    ----------
    params : Params
        Changed in place by every step.
    multiply : callable
        The matrix product.
    """

    state_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Params, multiply: Multiply) -> None:
        self.params = params
        self.multiply = multiply
        self.learning_rate = self.decay = 0.0
        self.n_steps = 0
        self.state: dict[str, FloatArray] = {name: np.zeros_like(params.flat) for name in self.state_names}

    def begin(self, learning_rate: float, decay: float) -> None:
        """Start a step of size ``learning_rate``."""
        self.learning_rate, self.decay = learning_rate, decay
        self.n_steps += 1

    @abstractmethod
    def accept(self, layer: int, x: FloatArray, grad_z: FloatArray) -> None:
        """Take the gradient of one layer: ``x.T @ grad_z`` for weights, column sums of ``grad_z`` for biases.

        Parameters
        ----------
        layer : int
            From 0.
        x : ndarray of shape (b, fan_in)
            The layer's input; not modified.
        grad_z : ndarray of shape (b, fan_out)
            Gradient of the loss with respect to the layer's affine output; not modified.
        """

    @abstractmethod
    def finish(self) -> None:
        """End the step, when every layer's gradient has been taken."""


class Sgd(Optimizer):
    """Stochastic gradient descent: parameter -= learning_rate * gradient.

    The step is linear in the gradient, so BLAS adds the product that *is* the gradient straight to the weights.
    """

    def accept(self, layer: int, x: FloatArray, grad_z: FloatArray) -> None:
        """Update the layer."""
        weight, step = self.params.weights[layer], -self.learning_rate
        if self.decay:
            weight *= 1.0 + step * self.decay
        add_product(x.T, grad_z, step, weight)
        add_column_sums(grad_z, step, self.params.biases[layer])

    def finish(self) -> None:
        """Do nothing: every layer is up to date."""


class ElementwiseOptimizer(Optimizer):
    """Base of optimisers that need the gradient itself: collects it, then updates block by block."""

    def __init__(self, params: Params, multiply: Multiply) -> None:
        super().__init__(params, multiply)
        self.gradient = Params.zeros(params.layer_sizes, params.flat.dtype)
        self._scratch = np.empty(min(BLOCK, params.flat.size), params.flat.dtype)

    def accept(self, layer: int, x: FloatArray, grad_z: FloatArray) -> None:
        """Keep the layer's gradient."""
        self.multiply(x.T, grad_z, self.gradient.weights[layer])
        np.add.reduce(grad_z, axis=0, out=self.gradient.biases[layer])

    def finish(self) -> None:
        """Add the penalty's gradient and update every parameter."""
        for part, has_decay in self._blocks():
            flat, grad = self.params.flat[part], self.gradient.flat[part]
            scratch = self._scratch[: flat.size]
            if has_decay:
                np.multiply(flat, self.decay, out=scratch)
                grad += scratch
            self.update(flat, grad, tuple(self.state[name][part] for name in self.state_names), scratch)

    def _blocks(self) -> Iterator[tuple[slice, bool]]:
        """Yield slices of the parameters and whether the penalty counts them."""
        n_weights, n_all = self.params.all_weights.size, self.params.flat.size
        for start, stop, has_decay in ((0, n_weights, self.decay != 0.0), (n_weights, n_all, False)):
            for first in range(start, stop, BLOCK):
                yield slice(first, min(first + BLOCK, stop)), has_decay

    @abstractmethod
    def update(self, flat: FloatArray, grad: FloatArray, state: tuple[FloatArray, ...], scratch: FloatArray) -> None:
        """Change some parameters and their state in place; ``grad`` and ``scratch`` may be overwritten."""


class Momentum(ElementwiseOptimizer):
    """Gradient descent with momentum: velocity = momentum * velocity - learning_rate * gradient.

    Parameters
    ----------
    momentum : float
        Share of the velocity kept, 0 <= momentum < 1.
    nesterov : bool
        Step by momentum * velocity - learning_rate * gradient with the new velocity, instead of by the velocity.

    References
    ----------
    Sutskever et al. (2013), On the importance of initialization and momentum, eqs. 1 to 4 (Nesterov's form rewritten
    for the parameters at which the gradient is taken, as scikit-learn and PyTorch do).
    """

    state_names = ("velocity",)

    def __init__(self, params: Params, multiply: Multiply, *, momentum: float, nesterov: bool) -> None:
        super().__init__(params, multiply)
        self.momentum, self.nesterov = momentum, nesterov

    def update(self, flat: FloatArray, grad: FloatArray, state: tuple[FloatArray, ...], scratch: FloatArray) -> None:
        """Update velocity and parameters."""
        (velocity,) = state
        grad *= self.learning_rate
        velocity *= self.momentum
        velocity -= grad
        if self.nesterov:
            np.multiply(velocity, self.momentum, out=scratch)
            scratch -= grad
            flat += scratch
        else:
            flat += velocity


class Adam(ElementwiseOptimizer):
    """Adam: parameter -= learning_rate * mean / (sqrt(square) + epsilon), both averages corrected for their start.

    Parameters
    ----------
    beta_1, beta_2 : float
        Decay of the running means of gradient and squared gradient, 0 <= beta < 1.
    epsilon : float
        > 0.

    Notes
    -----
    The state holds sums, beta * sum + gradient, instead of means, which are 1 - beta times as large: that factor and
    the correction 1 / (1 - beta**t) are the same for every parameter, and so are applied to the two numbers of the
    step instead of to arrays.

    References
    ----------
    Kingma and Ba (2015), Adam, algorithm 1.
    """

    state_names = ("gradient_sum", "square_sum")

    def __init__(self, params: Params, multiply: Multiply, *, beta_1: float, beta_2: float, epsilon: float) -> None:
        super().__init__(params, multiply)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def update(self, flat: FloatArray, grad: FloatArray, state: tuple[FloatArray, ...], scratch: FloatArray) -> None:
        """Update both sums and the parameters."""
        gradient_sum, square_sum = state
        per_gradient_sum = (1.0 - self.beta_1) / (1.0 - self.beta_1**self.n_steps)
        per_root = math.sqrt((1.0 - self.beta_2) / (1.0 - self.beta_2**self.n_steps))
        gradient_sum *= self.beta_1
        gradient_sum += grad
        grad *= grad
        square_sum *= self.beta_2
        square_sum += grad
        np.sqrt(square_sum, out=scratch)
        scratch += self.epsilon / per_root
        np.divide(gradient_sum, scratch, out=scratch)
        scratch *= self.learning_rate * per_gradient_sum / per_root
        flat -= scratch


OPTIMIZERS: Final[Mapping[str, type[Optimizer]]] = MappingProxyType({"adam": Adam, "momentum": Momentum, "sgd": Sgd})
"""Every optimiser by its name in the settings; its keywords are the settings of its ``conf/optimizer`` file."""

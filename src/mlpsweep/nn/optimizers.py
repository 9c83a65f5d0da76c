"""Optimisers, which change the parameters by the gradients of a step, in place; ``schedules`` has the step sizes.

A step is ``begin``, then for each layer, the last one first, the call that ``bind_gradient`` has made for it, then
``finish``. The objective is the mean loss plus ``decay / 2`` times the sum of squared weights, biases excluded, so
each weight's gradient gains ``decay * weight``; ``decay`` is l2_lambda / b.
"""

import functools
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np

from mlpsweep.nn.network import Params
from mlpsweep.nn.products import Bind, Call, add_scaled, bind_add, bind_sum
from mlpsweep.types import FloatArray

BLOCK: Final = 16_384
"""Parameters handled at a time by elementwise updates: what they touch stays in a core's own cache."""
SMALL: Final = 100_000
"""Parameters of a layer up to which a product and a sum of vectors are faster than a product that adds."""


class Optimizer(ABC):
    """Base of all optimisers.

    Parameters
    ----------
    params : Params
        Changed in place by every step.
    bind : callable
        The matrix product.
    """

    state_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Params, bind: Bind) -> None:
        self.params = params
        self.bind = bind
        self.learning_rate = self.decay = 0.0
        self.n_steps = 0
        self.state: dict[str, FloatArray] = {name: np.zeros_like(params.flat) for name in self.state_names}

    def begin(self, learning_rate: float, decay: float) -> None:
        """Start a step of size ``learning_rate``."""
        self.learning_rate, self.decay = learning_rate, decay
        self.n_steps += 1

    @abstractmethod
    def bind_gradient(self, layer: int, x: FloatArray, grad_z: FloatArray) -> Call:
        """Return the call that takes the gradient of one layer's block, ``x @ grad_z.T``.

        Parameters
        ----------
        layer : int
            From 0.
        x : ndarray of shape (fan_in + 1, b)
            The layer's input, with a row of ones; read at each call, not modified.
        grad_z : ndarray of shape (fan_out, b)
            Gradient of the loss with respect to the layer's affine output; likewise.
        """

    @abstractmethod
    def finish(self) -> None:
        """End the step, when every layer's gradient has been taken."""


class Sgd(Optimizer):
    """Stochastic gradient descent: parameter -= learning_rate * gradient.

    The step is linear in the gradient, so BLAS adds the product that *is* the gradient straight to a large layer's
    weights. Small layers have theirs collected, and added all at once.
    """

    def __init__(self, params: Params, bind: Bind) -> None:
        super().__init__(params, bind)
        self._gradients: dict[int, FloatArray] = {}  # of the small layers
        self._adds: list[Callable[[float], object]] = []  # of small neighbours: all gradients to all parameters
        starts = list(itertools.accumulate((block.size for block in params.blocks), initial=0))
        layers = range(len(params.blocks))
        for is_small, run in itertools.groupby(layers, lambda layer: params.blocks[layer].size <= SMALL):
            first, *others = run
            if is_small:
                flat = params.flat[starts[first] : starts[first + len(others) + 1]]
                gradient = np.zeros_like(flat)
                self._adds.append(bind_add(gradient, flat))
                for layer in (first, *others):
                    view = gradient[starts[layer] - starts[first] : starts[layer + 1] - starts[first]]
                    self._gradients[layer] = view.reshape(params.blocks[layer].shape)

    def bind_gradient(self, layer: int, x: FloatArray, grad_z: FloatArray) -> Call:
        """Return the call that updates a large layer, or keeps a small one's gradient."""
        if layer in self._gradients:
            return self.bind(x, grad_z.T, self._gradients[layer])
        add = bind_sum(x, grad_z.T, self.params.blocks[layer])

        def update() -> None:
            if self.decay:
                self._shrink(layer)
            add(-self.learning_rate, 1.0)

        return update

    def finish(self) -> None:
        """Update the small layers."""
        if self.decay:
            for layer in self._gradients:
                self._shrink(layer)
        for add in self._adds:
            add(-self.learning_rate)

    def _shrink(self, layer: int) -> None:
        self.params.weights[layer][...] *= 1.0 - self.learning_rate * self.decay


class ElementwiseOptimizer(Optimizer):
    """Base of optimisers that need the gradient itself: collects it, then updates part by part.

    Attributes
    ----------
    weight_decay : float
        A step multiplies the weights, not the biases, by 1 - learning_rate * weight_decay before the update, which,
        unlike the penalty, is no part of the gradient.
    """

    weight_decay = 0.0

    def __init__(self, params: Params, bind: Bind) -> None:
        super().__init__(params, bind)
        self.gradient = Params.zeros(params.layer_sizes, params.flat.dtype)
        self._scratch = np.empty(min(BLOCK, params.flat.size), params.flat.dtype)

    def bind_gradient(self, layer: int, x: FloatArray, grad_z: FloatArray) -> Call:
        """Return the call that keeps the layer's gradient."""
        return self.bind(x, grad_z.T, self.gradient.blocks[layer])

    def finish(self) -> None:
        """Add the penalty's gradient and update every parameter."""
        if self.decay:
            for gradient, weights in zip(self.gradient.weights, self.params.weights, strict=True):
                add_scaled(weights.reshape(-1), self.decay, gradient.reshape(-1))
        if self.weight_decay:
            for weights in self.params.weights:
                weights *= 1.0 - self.learning_rate * self.weight_decay
        for flat, grad, state, scratch in self._parts:
            self.update(flat, grad, state, scratch)

    @functools.cached_property
    def _parts(self) -> list[tuple[FloatArray, FloatArray, tuple[FloatArray, ...], FloatArray]]:
        """Some parameters at a time, with their gradient, their state and scratch space."""
        vectors = (self.params.flat, self.gradient.flat, *(self.state[name] for name in self.state_names))
        parts = []
        for first in range(0, self.params.flat.size, BLOCK):
            flat, grad, *state = (vector[first : first + BLOCK] for vector in vectors)
            parts.append((flat, grad, tuple(state), self._scratch[: flat.size]))
        return parts

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

    def __init__(self, params: Params, bind: Bind, *, momentum: float, nesterov: bool) -> None:
        super().__init__(params, bind)
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
    weight_decay : float
        >= 0; a decay of which the averages know nothing.

    Notes
    -----
    The state holds sums, beta * sum + gradient, instead of means, which are 1 - beta times as large: that factor and
    the correction 1 / (1 - beta**t) are the same for every parameter, and so are applied to the two numbers of the
    step instead of to arrays.

    References
    ----------
    Kingma and Ba (2015), Adam, algorithm 1; Loshchilov and Hutter (2019), Decoupled weight decay regularization,
    algorithm 2.
    """

    state_names = ("gradient_sum", "square_sum")

    def __init__(
        self, params: Params, bind: Bind, *, beta_1: float, beta_2: float, epsilon: float, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, bind)
        self.beta_1, self.beta_2, self.epsilon, self.weight_decay = beta_1, beta_2, epsilon, weight_decay

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

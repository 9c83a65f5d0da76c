"""Elementwise activation functions and their derivatives, in place; no layers, no dropout.

``forward(z, a)`` writes the activation of ``z`` into ``a`` and leaves ``z`` alone.
``backward(grad, z, a)`` turns ``grad`` from the loss's gradient with respect to ``a`` into that with respect to
``z``. A layer's ``z`` and ``a`` have done their work by then: backward uses them as scratch space.
All arrays have one shape (b, n_units) and one dtype, which is kept; nothing is allocated.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from mlpsweep.nn.limits import max_exponent
from mlpsweep.types import FloatArray

LEAKY_SLOPE: Final = 0.01
GELU_CUBIC: Final = 0.044715
GELU_SCALE: Final = math.sqrt(2.0 / math.pi)


@dataclass(frozen=True, slots=True)
class Activation:
    """An elementwise function and its vector-Jacobian product, both writing into the caller's arrays."""

    forward: Callable[[FloatArray, FloatArray], None]
    backward: Callable[[FloatArray, FloatArray, FloatArray], None]


def sigmoid(z: FloatArray, a: FloatArray) -> None:
    """Write 1 / (1 + exp(-z))."""
    limit = max_exponent(z.dtype)
    np.clip(z, -limit, limit, out=a)
    np.negative(a, out=a)
    np.exp(a, out=a)
    a += 1.0
    np.divide(1.0, a, out=a)


def sigmoid_backward(grad: FloatArray, z: FloatArray, a: FloatArray) -> None:
    """Multiply ``grad`` by a (1 - a)."""
    np.subtract(1.0, a, out=z)
    z *= a
    grad *= z


def tanh(z: FloatArray, a: FloatArray) -> None:
    """Write the hyperbolic tangent."""
    np.tanh(z, out=a)


def tanh_backward(grad: FloatArray, z: FloatArray, a: FloatArray) -> None:
    """Multiply ``grad`` by 1 - a**2."""
    np.multiply(a, a, out=z)
    np.subtract(1.0, z, out=z)
    grad *= z


def relu(z: FloatArray, a: FloatArray) -> None:
    """Write max(z, 0)."""
    np.clip(z, 0.0, np.inf, out=a)  # np.maximum with a scalar takes twice the time


def relu_backward(grad: FloatArray, z: FloatArray, a: FloatArray) -> None:
    """Keep ``grad`` where a > 0; at the kink the derivative is taken as 0."""
    np.greater(a, 0.0, out=z)
    grad *= z


def leaky_relu(z: FloatArray, a: FloatArray) -> None:
    """Write z where it is positive and 0.01 z elsewhere (Maas et al., 2013)."""
    np.multiply(z, LEAKY_SLOPE, out=a)
    np.maximum(z, a, out=a)


def leaky_relu_backward(grad: FloatArray, z: FloatArray, a: FloatArray) -> None:
    """Multiply ``grad`` by 1 where a > 0 and by 0.01 elsewhere."""
    np.greater(a, 0.0, out=z)
    z *= 1.0 - LEAKY_SLOPE
    z += LEAKY_SLOPE
    grad *= z


def elu(z: FloatArray, a: FloatArray) -> None:
    """Write z where it is positive and exp(z) - 1 elsewhere (Clevert et al., 2016).

    Notes
    -----
    Not ``expm1``: its extra digits near 0 are lost in the next layer's sum, and it takes ten times as long.
    """
    np.clip(z, -max_exponent(z.dtype), 0.0, out=a)
    np.exp(a, out=a)
    a -= 1.0
    np.maximum(z, a, out=a)  # exp(z) - 1 >= z, so this is z where z is positive only


def elu_backward(grad: FloatArray, z: FloatArray, a: FloatArray) -> None:
    """Multiply ``grad`` by 1 where a > 0 and by exp(z) = a + 1 elsewhere."""
    np.clip(a, -1.0, 0.0, out=z)
    z += 1.0
    grad *= z


def silu(z: FloatArray, a: FloatArray) -> None:
    """Write z sigmoid(z) (Elfwing et al., 2018)."""
    sigmoid(z, a)
    a *= z


def silu_backward(grad: FloatArray, z: FloatArray, a: FloatArray) -> None:
    """Multiply ``grad`` by s (1 + z (1 - s)), s = sigmoid(z)."""
    sigmoid(z, a)
    grad *= a
    np.subtract(1.0, a, out=a)
    z *= a
    z += 1.0
    grad *= z


def _gelu_argument(z: FloatArray, u: FloatArray) -> None:
    """Write u = sqrt(2 / pi) (z + 0.044715 z**3)."""
    np.multiply(z, z, out=u)
    u *= GELU_SCALE * GELU_CUBIC
    u += GELU_SCALE
    u *= z


def gelu(z: FloatArray, a: FloatArray) -> None:
    """Write z (1 + tanh(u)) / 2, u = sqrt(2 / pi) (z + 0.044715 z**3).

    Notes
    -----
    The tanh form of Hendrycks and Gimpel (2016), JAX's default; it stays within 5e-4 of z times the normal
    distribution function, which PyTorch computes by default.
    """
    _gelu_argument(z, a)
    np.tanh(a, out=a)
    a += 1.0
    a *= z
    a *= 0.5


def gelu_backward(grad: FloatArray, z: FloatArray, a: FloatArray) -> None:
    """Multiply ``grad`` by (1 + t) (1 + (1 - t) p) / 2 with t = tanh(u) and p = z du/dz = 3 u - 2 sqrt(2 / pi) z."""
    _gelu_argument(z, a)
    z *= -2.0 * GELU_SCALE / 3.0
    z += a
    z *= 3.0  # p
    np.tanh(a, out=a)
    a += 1.0
    a *= 0.5  # (1 + t) / 2
    grad *= a
    np.subtract(1.0, a, out=a)  # (1 - t) / 2
    z *= a
    z *= 2.0
    z += 1.0
    grad *= z


ACTIVATIONS: Final[Mapping[str, Activation]] = MappingProxyType(
    {
        "elu": Activation(elu, elu_backward),
        "gelu": Activation(gelu, gelu_backward),
        "leaky_relu": Activation(leaky_relu, leaky_relu_backward),
        "relu": Activation(relu, relu_backward),
        "sigmoid": Activation(sigmoid, sigmoid_backward),
        "silu": Activation(silu, silu_backward),
        "tanh": Activation(tanh, tanh_backward),
    }
)
"""Every hidden activation by its name in the settings."""

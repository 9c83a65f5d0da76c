"""Elementwise activation functions with their derivatives, in place.

Each function takes ``z`` and turns it into the activation ``a``; it writes the derivative da/dz, of which backward
needs nothing else, into ``slope``, and may use ``scratch``. The three are of one shape, (n_units, b), and one dtype,
which is kept; nothing is allocated. Arguments of exp are cut off where the result has long been flat, so that large
scores neither overflow nor underflow.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from mlpsweep.nn.limits import max_exponent
from mlpsweep.types import FloatArray

LEAKY_SLOPE: Final = 0.01
GELU_CUBIC: Final = 0.044715
GELU_SCALE: Final = math.sqrt(8.0 / math.pi)
_ZERO: Final = np.zeros((), np.float32)  # a number of Python's would be made an array at each call

Activation = Callable[[FloatArray, FloatArray, FloatArray], None]
"""Called as ``activation(z, slope, scratch)``."""


def sigmoid(z: FloatArray, slope: FloatArray, scratch: FloatArray) -> None:
    """Make ``z`` e / (1 + e), e = exp(z), and ``slope`` a (1 - a) = a / (1 + e)."""
    limit = max_exponent(z.dtype)
    np.clip(z, -limit, limit, out=z)
    np.exp(z, out=z)
    np.add(z, 1.0, out=slope)
    z /= slope
    np.divide(z, slope, out=slope)


def tanh(z: FloatArray, slope: FloatArray, scratch: FloatArray) -> None:
    """Make ``z`` its hyperbolic tangent, and ``slope`` 1 - a**2."""
    np.tanh(z, out=z)
    np.multiply(z, z, out=slope)
    np.subtract(1.0, slope, out=slope)


def relu(z: FloatArray, slope: FloatArray, scratch: FloatArray) -> None:
    """Keep ``z`` where it is positive, and make ``slope`` 1 there; both are 0 elsewhere, at the kink too."""
    np.greater(z, _ZERO, out=slope)
    np.multiply(z, slope, z)


def leaky_relu(z: FloatArray, slope: FloatArray, scratch: FloatArray) -> None:
    """Multiply ``z`` by ``slope``: 1 where it is positive and 0.01 elsewhere (Maas et al., 2013)."""
    np.greater(z, _ZERO, out=slope)
    slope *= 1.0 - LEAKY_SLOPE
    slope += LEAKY_SLOPE
    z *= slope


def elu(z: FloatArray, slope: FloatArray, scratch: FloatArray) -> None:
    """Keep ``z`` where it is positive, make it exp(z) - 1 elsewhere; ``slope`` is 1 and exp(z) (Clevert et al., 2016).

    Notes
    -----
    Not ``expm1``: its extra digits near 0 are lost in the next layer's sum, and it takes ten times as long.
    """
    np.clip(z, -max_exponent(z.dtype), 0.0, out=slope)
    np.exp(slope, out=slope)
    np.subtract(slope, 1.0, out=scratch)
    np.maximum(z, scratch, out=z)  # exp(z) - 1 >= z, and 0 stands where z is positive


def silu(z: FloatArray, slope: FloatArray, scratch: FloatArray) -> None:
    """Make ``z`` a = z s, s = sigmoid(z), and ``slope`` s + a (1 - s) (Elfwing et al., 2018)."""
    limit = max_exponent(z.dtype)
    np.clip(z, -limit, limit, out=slope)
    np.exp(slope, out=slope)
    np.add(slope, 1.0, out=scratch)
    slope /= scratch  # s
    z *= slope
    np.divide(z, scratch, out=scratch)  # a (1 - s)
    slope += scratch


def gelu(z: FloatArray, slope: FloatArray, scratch: FloatArray) -> None:
    """Make ``z`` a = z s, s = sigmoid(v), v = sqrt(8 / pi) (z + 0.044715 z**3), and ``slope`` s + z v' s (1 - s).

    Notes
    -----
    The tanh form of Hendrycks and Gimpel (2016), as sigmoid(v) = (1 + tanh(v / 2)) / 2. It is JAX's default; it
    stays within 5e-4 of z times the normal distribution function, PyTorch's default.
    """
    limit = max_exponent(z.dtype)
    np.multiply(z, z, out=slope)
    np.multiply(slope, -GELU_SCALE * GELU_CUBIC, out=scratch)
    scratch -= GELU_SCALE
    scratch *= z  # -v
    slope *= 3.0 * GELU_SCALE * GELU_CUBIC
    slope += GELU_SCALE
    slope *= z  # z v'
    np.clip(scratch, -limit, limit, out=scratch)
    np.exp(scratch, out=scratch)
    scratch += 1.0
    np.divide(1.0, scratch, out=scratch)  # s
    z *= scratch
    slope *= scratch  # with p = z v' s: slope = s + p (1 - s) = 1 - (1 - s) (1 - p)
    np.subtract(1.0, slope, out=slope)
    np.subtract(1.0, scratch, out=scratch)
    slope *= scratch
    np.subtract(1.0, slope, out=slope)


ACTIVATIONS: Final[Mapping[str, Activation]] = MappingProxyType(
    {
        "elu": elu,
        "gelu": gelu,
        "leaky_relu": leaky_relu,
        "relu": relu,
        "sigmoid": sigmoid,
        "silu": silu,
        "tanh": tanh,
    }
)
"""Every hidden activation by its name in the settings."""

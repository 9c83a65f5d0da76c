"""The random draws of initial parameters."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from mlpsweep.errors import SettingsError
from mlpsweep.types import FloatArray

Draw = Callable[[np.random.Generator, float, tuple[int, ...]], FloatArray]


def draw_normal(rng: np.random.Generator, std: float, shape: tuple[int, ...]) -> FloatArray:
    """Draw from the normal distribution with mean 0 and standard deviation ``std``; float64."""
    return rng.normal(0.0, std, shape)


def draw_uniform(rng: np.random.Generator, std: float, shape: tuple[int, ...]) -> FloatArray:
    """Draw uniformly from the interval around 0 that has standard deviation ``std``; float64."""
    limit = math.sqrt(3.0) * std
    return rng.uniform(-limit, limit, shape)


def glorot_variance(fan_in: int, fan_out: int) -> float:
    """Return 2 / (fan_in + fan_out) (Glorot and Bengio, 2010, eq. 12)."""
    return 2.0 / (fan_in + fan_out)


def he_variance(fan_in: int, fan_out: int) -> float:
    """Return 2 / fan_in (He et al., 2015, eq. 10)."""
    return 2.0 / fan_in


def fan_max_variance(fan_in: int, fan_out: int) -> float:
    """Return 1 / max(fan_in, fan_out)."""
    return 1.0 / max(fan_in, fan_out)


@dataclass(frozen=True, slots=True)
class Initializer:
    """A distribution with mean 0 whose variance follows from the layer's ends, or is given (``variance`` is None)."""

    draw: Draw
    variance: Callable[[int, int], float] | None

    def std(self, fan_in: int, fan_out: int, init_std: float | None) -> float:
        """Return the standard deviation for a layer.

        Raises
        ------
        SettingsError
            If ``fan_in`` or ``fan_out`` is below 1, or ``init_std`` is missing where it is needed.
        """
        if min(fan_in, fan_out) < 1:
            raise SettingsError(f"initializer: a layer of {fan_in} inputs and {fan_out} outputs; expected at least 1.")
        if self.variance is not None:
            return math.sqrt(self.variance(fan_in, fan_out))
        if init_std is None:
            raise SettingsError("init_std: null with initializer=normal; expected a number > 0. Example: init_std=0.01")
        return init_std


INITIALIZERS: Final[Mapping[str, Initializer]] = MappingProxyType(
    {
        "fan_max_normal": Initializer(draw_normal, fan_max_variance),
        "glorot_normal": Initializer(draw_normal, glorot_variance),
        "glorot_uniform": Initializer(draw_uniform, glorot_variance),
        "he_normal": Initializer(draw_normal, he_variance),
        "he_uniform": Initializer(draw_uniform, he_variance),
        "normal": Initializer(draw_normal, None),
    }
)
"""Every initialiser by its name in the settings."""

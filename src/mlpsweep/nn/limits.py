"""The limit of exponents in each dtype."""

import functools
import math
from typing import Any

import numpy as np


@functools.cache
def max_exponent(dtype: np.dtype[Any]) -> float:
    """Return x such that exp(-x) is the root of the smallest normal number: 43.6 in float32, 354.1 in float64.

    Beyond it exp(-x) is far below the spacing of numbers near 1, and a product of two such terms is still normal:
    clipping exponents there changes no result that can be told apart and avoids overflow and underflow alike.
    """
    return -0.5 * math.log(np.finfo(dtype).tiny)

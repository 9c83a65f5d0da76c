"""The mask of inverted dropout, for hidden units and for inputs."""

import numpy as np

from mlpsweep.types import FloatArray


def draw_mask(dropout: float, rng: np.random.Generator, out: FloatArray) -> None:
    """Fill ``out`` with 0 where a number is dropped, and with 1 / (1 - dropout) elsewhere.

    Parameters
    ----------
    dropout : float
        Probability of a 0, 0 < p < 1.
    rng : Generator
        Advanced by as many draws as ``out`` has numbers.
    out : ndarray
        Overwritten.

    References
    ----------
    Srivastava et al. (2014), Dropout: a simple way to prevent neural networks from overfitting.
    """
    rng.random(out=out, dtype=out.dtype)
    np.greater_equal(out, dropout, out=out)
    out *= 1.0 / (1.0 - dropout)

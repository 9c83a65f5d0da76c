"""The statistics of the winner: which finalists are tied with the best, and which of them is taken; no training.

The smallest configuration in a band below the best mean wins, as in the one-standard-error rule of Breiman et al.
(1984). Our band is narrower than theirs, and far narrower than a 95 % interval, which would tie nearly everything: the
smallest in it is a worse configuration about as often as a plain maximum is; ``docs/adr/0008`` has the simulation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlpsweep.errors import ShapeError
from mlpsweep.types import FloatArray

BAND: Final = 0.5
"""Standard errors of the paired difference within which two configurations are tied."""

Z_95: Final = 1.96
"""Standard errors on either side of a 95 % interval."""


@dataclass(frozen=True)
class Difference:
    """The best finalist's mean less another's, and how far chance alone might move it.

    Parameters
    ----------
    mean : float
        Difference in units of the score; at least 0.
    error : float
        Its standard error over seeds and rows together.
    """

    mean: float
    error: float

    @property
    def is_tie(self) -> bool:
        """Whether the two count as equally good."""
        return self.mean <= BAND * self.error

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval; a difference whose interval holds 0 may be chance."""
        return self.mean - Z_95 * self.error, self.mean + Z_95 * self.error


@dataclass(frozen=True)
class Choice:
    """Who is best, who is tied with it, and who is taken; finalists go by their place.

    Parameters
    ----------
    best : int
        Place of the highest mean.
    differences : tuple of Difference
        What the best is ahead of each finalist, itself included.
    winner : int
        Place of the smallest that is tied.
    """

    best: int
    differences: tuple[Difference, ...]
    winner: int


def choose(scores: Sequence[FloatArray], n_parameters: Sequence[int]) -> Choice:
    """Return the winner among finalists.

    Parameters
    ----------
    scores : sequence of ndarray of shape (n_seeds, n_rows)
        One per finalist: what each run scores on each validation row, higher is better; the same rows in the same
        order, so that they can be paired.
    n_parameters : sequence of int
        Weights and biases of each finalist's network. Equally small ones: the higher mean wins, then the earlier.

    Raises
    ------
    ShapeError
        If the arrays differ in shape.
    """
    if len({np.shape(one) for one in scores}) != 1:
        raise ShapeError(
            f"winner: scores of shapes {', '.join(str(np.shape(one)) for one in scores)}; expected one shape, "
            "the same seeds and rows for every finalist."
        )
    means = [float(np.mean(one)) for one in scores]
    best = max(range(len(scores)), key=lambda place: (means[place], -n_parameters[place], -place))
    differences = tuple(compare(scores[best], one) for one in scores)
    tied = [place for place, difference in enumerate(differences) if difference.is_tie]
    winner = min(tied, key=lambda place: (n_parameters[place], -means[place], place))
    return Choice(best, differences, winner)


def compare(first: FloatArray, second: FloatArray) -> Difference:
    """Return the mean of ``first - second`` with a standard error that counts seeds and rows as random.

    Parameters
    ----------
    first, second : ndarray of shape (n_seeds, n_rows)

    Notes
    -----
    With d the mean over both, d_s over the rows of a seed, d_r over the seeds of a row, the variance of d is estimated
    from both margins less what both contain: ``V_seeds + V_rows - V_rest``, and not below either. One seed says
    nothing about seeds: rows alone then.

    References
    ----------
    Cameron, Gelbach and Miller (2011), Robust inference with multiway clustering, eq. 2.10.
    """
    difference = np.subtract(first, second, dtype=np.float64)
    n_seeds, n_rows = difference.shape
    mean = float(difference.mean())
    of_rows, of_seeds = difference.mean(axis=0) - mean, difference.mean(axis=1) - mean
    rest = difference - mean - of_rows - of_seeds[:, None]
    v_rows = float(of_rows @ of_rows) / (n_rows * max(1, n_rows - 1))
    v_seeds = float(of_seeds @ of_seeds) / (n_seeds * max(1, n_seeds - 1))
    v_rest = float(np.vdot(rest, rest)) / (n_seeds * n_rows * max(1, (n_seeds - 1) * (n_rows - 1)))
    return Difference(mean, math.sqrt(max(v_rows, v_seeds, v_rows + v_seeds - v_rest)))

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
from scipy.special import stdtrit

from mlpsweep.errors import ShapeError
from mlpsweep.types import FloatArray

BAND: Final = 0.25
"""Standard errors of the paired difference within which two configurations are tied."""

CONFIDENCE: Final = 0.95
"""Coverage of an interval."""


@dataclass(frozen=True)
class Difference:
    """The best finalist's mean less another's, and how far chance alone might move it.

    Parameters
    ----------
    mean : float
        Difference in units of the score; at least 0.
    error : float
        Its standard error over seeds and rows together.
    interval : tuple of float
        Its 95 % interval; one that holds 0 may be chance.
    """

    mean: float
    error: float
    interval: tuple[float, float]

    @property
    def is_tie(self) -> bool:
        """Whether the two count as equally good."""
        return self.mean <= BAND * self.error


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
    """Return the mean of ``first - second``; its standard error and its interval count seeds and rows as random.

    Parameters
    ----------
    first, second : ndarray of shape (n_seeds, n_rows)

    Notes
    -----
    With d the mean over both, d_s over the rows of a seed, d_r over the seeds of a row, the variance of d is estimated
    from both margins less what both contain: ``V_seeds + V_rows - V_rest``, and not below either. One seed says
    nothing about seeds: rows alone then.

    Half the interval is the root of ``t_seeds^2 V_seeds + t_rows^2 (V_rows - V_rest)``, each t the quantile of
    Student's distribution at that part's own degrees of freedom, ``n_seeds - 1`` and ``n_rows - 1``. Whichever part
    dominates, by Banerjee's inequality it covers at least what it says. One t at Satterthwaite's degrees of freedom
    would cover 0.87 where both parts count and there are two seeds: ``python -m benchmarks.intervals`` prints both.

    References
    ----------
    Cameron, Gelbach and Miller (2011), Robust inference with multiway clustering, eq. 2.10. Banerjee (1960),
    Approximate confidence interval for linear functions of means of k populations when the population variances are
    not equal.
    """
    difference = np.subtract(first, second, dtype=np.float64)
    n_seeds, n_rows = difference.shape
    mean = float(difference.mean())
    of_rows, of_seeds = difference.mean(axis=0) - mean, difference.mean(axis=1) - mean
    rest = difference - mean - of_rows - of_seeds[:, None]
    free_seeds, free_rows = max(1, n_seeds - 1), max(1, n_rows - 1)
    v_rows = float(of_rows @ of_rows) / (n_rows * free_rows)
    v_seeds = float(of_seeds @ of_seeds) / (n_seeds * free_seeds)
    v_rest = float(np.vdot(rest, rest)) / (n_seeds * n_rows * free_seeds * free_rows)
    t_seeds, t_rows = (float(stdtrit(free, 0.5 + CONFIDENCE / 2)) for free in (free_seeds, free_rows))
    margin = math.hypot(t_seeds * math.sqrt(v_seeds), t_rows * math.sqrt(max(0.0, v_rows - v_rest)))
    error = math.sqrt(max(v_rows, v_seeds, v_rows + v_seeds - v_rest))
    return Difference(mean, error, (mean - margin, mean + margin))

"""The uncertainty of a figure: intervals, calibration, and comparisons of two models on the same rows."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, norm

from mlpsweep.errors import ShapeError
from mlpsweep.types import FloatArray, LabelArray


def wilson_interval(n_correct: int, n_samples: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a proportion.

    Parameters
    ----------
    n_correct : int
        Successes, 0 .. n_samples.
    n_samples : int
        Trials, >= 1.
    confidence : float
        Wanted coverage, > 0 and < 1.

    Returns
    -------
    tuple of float
        Lower and upper end, 0 .. 1.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference.

    Examples
    --------
    >>> low, high = wilson_interval(9_800, 10_000)
    >>> round(low, 4), round(high, 4)
    (0.9771, 0.9826)
    """
    z = float(norm.ppf(0.5 + confidence / 2))
    share = n_correct / n_samples
    centre = share + z * z / (2 * n_samples)
    half = z * math.sqrt(share * (1 - share) / n_samples + z * z / (4 * n_samples**2))
    scale = 1 + z * z / n_samples
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def spread_of(values: Sequence[float]) -> float:
    """Return the standard deviation of a sample, 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidence against accuracy in bins of equal width.

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins of confidence, 0 .. 1.
    counts : ndarray of shape (n_bins,)
        Number of samples in each bin.
    confidence, accuracy : ndarray of shape (n_bins,)
        Means within each bin, 0 .. 1; NaN in an empty bin.
    """

    edges: FloatArray
    counts: LabelArray
    confidence: FloatArray
    accuracy: FloatArray

    @property
    def expected_error(self) -> float:
        """Mean distance of accuracy from confidence, weighted by samples: the expected calibration error."""
        filled = self.counts > 0
        gaps = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float(np.average(gaps, weights=self.counts[filled]))


def calibration(confidence: FloatArray, correct: LabelArray, n_bins: int = 15) -> Calibration:
    """Compare the probability of the predicted class with the share of right predictions.

    Parameters
    ----------
    confidence : ndarray of shape (n_samples,)
        Probability of the predicted class, 0 .. 1; at least one sample.
    correct : ndarray of shape (n_samples,)
        1 where the prediction is right, else 0.
    n_bins : int
        Number of bins of equal width; each holds its upper edge.

    Raises
    ------
    ShapeError
        If the two arrays differ in length.

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks, eq. 3; 15 bins as there.
    """
    _require_equal_length(confidence, correct)
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    index = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, n_bins - 1)
    counts = np.bincount(index, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(index, weights=values, minlength=n_bins) / counts for values in (confidence, correct)]
    return Calibration(edges, counts, means[0], means[1])


@dataclass(frozen=True, slots=True)
class McNemar:
    """Result of McNemar's test of two models on the same rows.

    Parameters
    ----------
    only_first, only_second : int
        Rows that only the first, or only the second model predicts right.
    p_exact, p_mid : float
        Two-sided p-values: the exact one is conservative, the mid-p one is close to its nominal level.
    """

    only_first: int
    only_second: int
    p_exact: float
    p_mid: float


def mcnemar(first_correct: LabelArray, second_correct: LabelArray) -> McNemar:
    """Test whether two models err equally often, on the same rows.

    Parameters
    ----------
    first_correct, second_correct : ndarray of shape (n_samples,)
        1 where the model is right, else 0.

    Raises
    ------
    ShapeError
        If the two arrays differ in length.

    References
    ----------
    McNemar (1947); Fagerland, Lydersen and Laake (2013), The McNemar test for binary matched-pairs data: mid-p and
    asymptotic are better than exact conditional.
    """
    _require_equal_length(first_correct, second_correct)
    only_first = int(np.sum((first_correct == 1) & (second_correct == 0)))
    only_second = int(np.sum((first_correct == 0) & (second_correct == 1)))
    n, smaller = only_first + only_second, min(only_first, only_second)
    # Twice the tail counts the middle twice when both are equal.
    p_exact = min(1.0, 2 * float(binom.cdf(smaller, n, 0.5)))
    p_mid = 1.0 if only_first == only_second else p_exact - float(binom.pmf(smaller, n, 0.5))
    return McNemar(only_first, only_second, p_exact, p_mid)


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """Mean difference of two models over the same rows, with the ends of a bootstrap interval."""

    mean: float
    low: float
    high: float


def paired_bootstrap(
    first: npt.NDArray[np.number],
    second: npt.NDArray[np.number],
    rng: np.random.Generator,
    *,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
) -> MeanDifference:
    """Return the mean of ``first - second`` and its percentile interval over resampled rows.

    Parameters
    ----------
    first, second : ndarray of shape (n_samples,)
        Any figure per row, such as right (1) or wrong (0), or the loss.
    rng : Generator
        Source of the draws; advanced.
    n_resamples : int
        Number of bootstrap samples.
    confidence : float
        Wanted coverage, > 0 and < 1.

    Raises
    ------
    ShapeError
        If the two arrays differ in length.

    Notes
    -----
    Only the multiplicity of each distinct difference matters, so a resample is one multinomial draw over the distinct
    values: three for right and wrong, whatever the number of rows.
    """
    _require_equal_length(first, second)
    values, counts = np.unique(np.asarray(first, np.float64) - second, return_counts=True)
    n = len(first)
    means = rng.multinomial(n, counts / n, size=n_resamples) @ values / n
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return MeanDifference(float(values @ counts / n), float(low), float(high))


def _require_equal_length(first: npt.NDArray[np.generic], second: npt.NDArray[np.generic]) -> None:
    if np.shape(first) != np.shape(second):
        raise ShapeError(
            f"statistics: arrays of shape {np.shape(first)} and {np.shape(second)}; expected one value per row in both."
        )

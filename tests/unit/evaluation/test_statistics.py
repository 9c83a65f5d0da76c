import math

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.calibration import calibration_curve

from mlpsweep.errors import ShapeError
from mlpsweep.evaluation.statistics import calibration, mcnemar, paired_bootstrap, wilson_interval


@pytest.mark.parametrize(
    ("n_correct", "n_samples", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_of_newcombe_1998(n_correct, n_samples, low, high):
    assert wilson_interval(n_correct, n_samples) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("n_samples", [200, 1000])
def test_wilson_interval_covers_the_truth_in_95_of_100(accuracy, n_samples):
    hits = np.arange(n_samples + 1)
    covers = [low <= accuracy <= high for low, high in (wilson_interval(int(k), n_samples) for k in hits)]
    coverage = binom.pmf(hits, n_samples, accuracy) @ covers
    assert 0.93 < coverage < 0.97


def test_calibration_bins_are_scikit_learns(rng):
    confidence = rng.uniform(size=2000)
    correct = (rng.uniform(size=2000) < confidence**2).astype(int)
    measured = calibration(confidence, correct, n_bins=10)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=10, strategy="uniform")
    np.testing.assert_allclose(measured.accuracy, accuracy)
    np.testing.assert_allclose(measured.confidence, mean)
    assert measured.counts.sum() == 2000


def test_expected_error_by_hand():
    # Bin (0.8, 0.9]: sure 0.85, right 2 of 4, gap 0.35; bin (0.2, 0.3]: sure 0.25, right 1 of 1, gap 0.75.
    measured = calibration(np.array([0.85] * 4 + [0.25]), np.array([1, 1, 0, 0, 1]), n_bins=10)
    assert measured.expected_error == pytest.approx((4 * 0.35 + 0.75) / 5)


def test_expected_error_vanishes_where_probabilities_are_true(rng):
    confidence = rng.uniform(0.1, 1.0, size=200_000)
    correct = (rng.uniform(size=confidence.size) < confidence).astype(int)
    assert calibration(confidence, correct).expected_error < 0.005


def test_each_bin_holds_its_upper_edge_and_the_first_both():
    assert calibration(np.array([0.0, 0.25, 0.5, 1.0]), np.ones(4, int), n_bins=4).counts.tolist() == [2, 1, 0, 1]


def test_calibration_has_fifteen_bins_as_its_source_has():
    assert calibration(np.array([0.5]), np.ones(1, int)).edges == pytest.approx(np.arange(16) / 15)


def correct_of(both, only_first, only_second, neither):
    first = np.repeat([1, 1, 0, 0], [both, only_first, only_second, neither])
    second = np.repeat([1, 0, 1, 0], [both, only_first, only_second, neither])
    return first, second


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 0), (3, 9), (40, 22), (7, 7)])
def test_exact_mcnemar_is_twice_the_binomial_tail(only_first, only_second):
    result = mcnemar(*correct_of(50, only_first, only_second, 6))
    n, smaller = only_first + only_second, min(only_first, only_second)
    expected = min(1.0, 2 * sum(math.comb(n, k) for k in range(smaller + 1)) / 2**n)
    assert (result.only_first, result.only_second) == (only_first, only_second)
    assert result.p_exact == pytest.approx(expected)


def test_mid_p_of_fagerland_2013():
    # Their airway data: 1 and 7 discordant pairs give exact 0.0703 and mid-p 0.0391.
    result = mcnemar(*correct_of(0, 1, 7, 13))
    assert result.p_exact == pytest.approx(0.0703, abs=5e-5)
    assert result.p_mid == pytest.approx(0.0391, abs=5e-5)


@pytest.mark.parametrize("n", [20, 60])
def test_mid_p_rejects_equal_models_in_at_most_5_of_100(n):
    p_values = [mcnemar(*correct_of(0, k, n - k, 0)).p_mid for k in range(n + 1)]
    rejected = binom.pmf(np.arange(n + 1), n, 0.5) @ (np.array(p_values) <= 0.05)
    assert 0.02 < rejected < 0.055


def test_bootstrap_interval_is_that_of_resampled_rows(rng):
    first, second = correct_of(900, 60, 30, 10)
    measured = paired_bootstrap(first, second, rng)
    rows = rng.integers(1000, size=(4000, 1000))
    direct = (first - second)[rows].mean(axis=1)
    assert measured.mean == pytest.approx(0.03)
    assert (measured.low, measured.high) == pytest.approx(tuple(np.quantile(direct, [0.025, 0.975])), abs=0.002)


def test_bootstrap_covers_the_true_difference(rng):
    inside = 0
    truth = 0.04
    draws = rng.multinomial(400, [0.8, 0.10, 0.06, 0.04], size=300)
    for counts in draws:
        measured = paired_bootstrap(*correct_of(*counts), rng, n_resamples=500)
        inside += measured.low <= truth <= measured.high
    assert 0.91 < inside / 300 < 0.985


@pytest.mark.parametrize(
    "compare",
    [mcnemar, calibration, lambda first, second: paired_bootstrap(first, second, np.random.default_rng(0))],
    ids=["mcnemar", "calibration", "bootstrap"],
)
def test_arrays_of_different_length_are_refused(compare):
    with pytest.raises(ShapeError, match=r"\(3,\) and \(2,\)"):
        compare(np.ones(3), np.ones(2))

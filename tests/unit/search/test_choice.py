"""The winner's rule: what it says of finalists, and how often it is wrong where the truth is known."""

import secrets
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import ttest_1samp

from benchmarks.choice import MAXIMUM, TRUTHS, Truth, false_winners
from benchmarks.intervals import N_SEEDS, WORLDS, World, coverage
from mlpsweep.errors import ShapeError
from mlpsweep.search.choice import BAND, choose, compare
from mlpsweep.types import FloatArray

CONF = yaml.safe_load((Path(__file__).parents[3] / "conf/search.yaml").read_text())["winner"]


def runs(shares: list[float], n_rows: int = 1000) -> FloatArray:
    """Scores of one configuration: run k is right on the first ``shares[k]`` of the rows."""
    return np.array([np.arange(n_rows) < share * n_rows for share in shares], dtype=np.float32)


def test_of_equal_configurations_the_smaller_wins() -> None:
    choice = choose([runs([0.9, 0.9]), runs([0.9, 0.9]), runs([0.5, 0.5])], [300, 200, 100])
    assert choice.winner == 1
    assert [difference.is_tie for difference in choice.differences] == [True, True, False]


def test_a_lead_within_the_noise_of_seeds_is_a_tie() -> None:
    noisy = [runs([0.90, 0.84, 0.93]), runs([0.85, 0.93, 0.88])]
    assert choose(noisy, [200, 100]).winner == 1
    assert choose(noisy, [100, 200]).winner == 0


def test_a_lead_that_is_beyond_noise_beats_a_smaller_network() -> None:
    assert choose([runs([0.95, 0.96, 0.95]), runs([0.90, 0.90, 0.91])], [10**6, 10]).winner == 0


def test_rows_are_paired(rng: np.random.Generator) -> None:
    """A lead on the same rows is surer than one of the same size on others."""
    rows = rng.random((3, 5000)) < 0.9
    same, other = rows & (rng.random((3, 5000)) > 0.01), rng.random((3, 5000)) < 0.891
    assert compare(rows, same).error < 0.5 * compare(rows, other).error


def test_one_seed_is_judged_by_its_rows(rng: np.random.Generator) -> None:
    first, second = rng.random((2, 1, 10_000)) < 0.9
    difference = compare(first, second)
    assert difference.error == pytest.approx(np.sqrt(2 * 0.9 * 0.1 / 10_000), rel=0.05)


@pytest.mark.parametrize(("of_seeds", "of_rows"), [(0.3, 0.0), (0.0, 3.0), (0.2, 2.0)], ids=["seeds", "rows", "both"])
def test_the_error_covers_seeds_and_rows(rng: np.random.Generator, of_seeds: float, of_rows: float) -> None:
    """Over many draws, the estimated variance has the mean's own variance as its expectation."""
    shape, drawn = (5, 200), []
    for _ in range(400):
        first = of_seeds * rng.normal(size=(5, 1)) + of_rows * rng.normal(size=(1, 200)) + rng.normal(size=shape)
        drawn.append(compare(first, np.zeros(shape)))
    true = np.var([difference.mean for difference in drawn])
    assert np.mean([difference.error**2 for difference in drawn]) == pytest.approx(true, rel=0.25)


def test_scores_of_different_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 1000\), \(1, 1000\)"):
        choose([runs([0.9, 0.9]), runs([0.9])], [1, 1])


@pytest.fixture
def seed() -> int:
    """Another one each time: what holds for the rule holds for any seed, and a failure names its own."""
    return secrets.randbits(32)


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", N_SEEDS)
@pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))
def test_an_interval_of_95_percent_holds_the_truth_as_often(world: World, n_seeds: int, seed: int) -> None:
    """From 0.949 to 0.988 in 200,000 draws; five standard errors of 1,500 more are allowed."""
    assert 0.92 < coverage(world, n_seeds, np.random.default_rng(seed), 1500) < 0.9999, f"seed {seed}"


def test_the_interval_of_one_seed_is_that_of_its_rows(rng: np.random.Generator) -> None:
    rows = rng.normal(size=(1, 30))
    expected = ttest_1samp(rows[0], 0).confidence_interval(0.95)
    assert compare(rows, np.zeros_like(rows)).interval == pytest.approx(tuple(expected))


def test_where_only_seeds_vary_the_interval_is_students_over_seeds(rng: np.random.Generator) -> None:
    seeds = rng.normal(size=(3, 1))
    expected = ttest_1samp(seeds[:, 0], 0).confidence_interval(0.95)
    assert compare(np.repeat(seeds, 50, axis=1), np.zeros((3, 50))).interval == pytest.approx(tuple(expected))


@pytest.mark.slow
@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.__name__)
def test_over_twenty_seeds_the_rule_errs_at_most_six_tenths_as_often_as_the_maximum(truth: Truth, seed: int) -> None:
    """ADR 8: 0.23, 0.37 and 0.43 times, with standard errors of 0.06, 0.04 and 0.03 here: the bound is five away."""
    n_seeds, rngs = CONF["n_seeds"], map(np.random.default_rng, np.random.SeedSequence(seed).spawn(20))
    wrong = [false_winners(truth, (n_seeds,), rng, 100) for rng in rngs]
    rules = MAXIMUM, f"{n_seeds} seeds, sizes at random, band {BAND:g}"
    argmax, ours = (sum(one[rule] for one in wrong) for rule in rules)
    assert argmax > 20
    assert ours <= 0.6 * argmax, f"seed {seed}: argmax {argmax}, ours {ours} of 2,000"

"""The winner's rule: what it says of finalists, and how often it is wrong where the truth is known."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import norm

from mlpsweep.errors import ShapeError
from mlpsweep.search.choice import choose, compare
from mlpsweep.types import FloatArray

CONF = yaml.safe_load((Path(__file__).parents[3] / "conf/search.yaml").read_text())["winner"]
TOP_K, N_SEEDS = CONF["top_k"], CONF["n_seeds"]


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


@dataclass(frozen=True)
class World:
    """A search whose truth is known: 25 configurations, each right on a row where a latent margin is positive.

    The margin is the configuration's strength, plus the row's ease, plus what each run adds; both are normal, so that
    the true accuracy, over all rows and runs, is known.
    """

    n_rows: int = 2000
    run: float = 0.3
    top: float = 0.9

    @property
    def run_noise(self) -> float:
        """Standard deviation of a run's accuracy on given rows, at the top."""
        ease = norm.ppf(self.top) * np.hypot(1, self.run) + norm.ppf((np.arange(10_000) + 0.5) / 10_000)
        right = norm.cdf(ease / self.run)
        return float(np.sqrt(np.mean(right * (1 - right)) / self.n_rows))

    def search(
        self, accuracies: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, Callable[[int], FloatArray]]:
        """Return each configuration's first run, and a function that makes one more run of a configuration."""
        ease, strength = rng.normal(size=self.n_rows), norm.ppf(accuracies) * np.hypot(1, self.run)

        def once(place: int) -> FloatArray:
            noise = self.run * rng.standard_normal(self.n_rows, np.float32)
            right: FloatArray = (strength[place] + ease + noise > 0).astype(np.float32)
            return right

        return np.array([once(place) for place in range(len(accuracies))]), once


def plateau(noise: float, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Six configurations are best, the others one to six standard deviations of a run below."""
    return -noise * np.r_[np.zeros(6), rng.uniform(1, 6, 19)], 0.0


def slope(noise: float, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """From the best six standard deviations down; whoever is within one of the best counts as best."""
    return -noise * rng.uniform(0, 6, 25), noise


def steps(noise: float, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Five are best, and five each are one, two, three and five standard deviations below."""
    return -noise * np.repeat([0.0, 1.0, 2.0, 3.0, 5.0], 5), 0.0


@pytest.mark.slow
@pytest.mark.parametrize("truth", [plateau, slope, steps])
def test_the_rule_names_a_worse_configuration_at_most_half_as_often_as_the_maximum(
    truth: Callable[[float, np.random.Generator], tuple[FloatArray, float]],
) -> None:
    rng, world, n_searches = np.random.default_rng(7), World(), 400
    wrong = np.zeros(2)
    for _ in range(n_searches):
        gaps, tolerance = truth(world.run_noise, rng)
        first, once = world.search(world.top + gaps, rng)
        means = first.mean(axis=1)
        finalists = np.argsort(-means, kind="stable")[:TOP_K]
        scores = [np.array([first[one], *(once(one) for _ in range(N_SEEDS - 1))]) for one in finalists]
        sizes = rng.permutation(TOP_K).tolist()
        named = [means.argmax(), finalists[choose(scores, sizes).winner]]
        wrong += gaps[named] < gaps.max() - tolerance
    argmax, ours = wrong / n_searches
    assert argmax > 0.03
    assert ours <= argmax / 2, f"argmax {argmax:.3f}, ours {ours:.3f}"

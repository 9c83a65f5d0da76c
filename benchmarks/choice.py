"""How often a search names a configuration that is not among the best, by the rule that names it: ADR 8's tables.

The truth is known, because searches are simulated. Nothing is trained. ``python -m benchmarks.choice --seed 100``.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import norm

from mlpsweep.search.choice import Difference, compare
from mlpsweep.types import FloatArray

Truth = Callable[[float, np.random.Generator], tuple[FloatArray, float]]
BANDS: Final = (0.0, 0.25, 0.5, 1.0)
TOP_K: Final = 3
MAXIMUM: Final = "maximum over trials"


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


TRUTHS: Final[tuple[Truth, ...]] = (plateau, slope, steps)


def false_winners(truth: Truth, n_seeds: Sequence[int], rng: np.random.Generator, n_searches: int) -> Mapping[str, int]:
    """Return by rule how many of the searches name a configuration that is not among the best."""
    wrong: dict[str, int] = {}
    world = World()
    for _ in range(n_searches):
        gaps, tolerance = truth(world.run_noise, rng)
        first, once = world.search(world.top + gaps, rng)
        means = first.mean(axis=1)
        finalists = np.argsort(-means, kind="stable")[:TOP_K]
        runs = [np.array([first[one], *(once(one) for _ in range(max(n_seeds) - 1))]) for one in finalists]
        at_random = rng.permutation(TOP_K)
        orders = {"sizes at random": at_random, "the worse is the smaller": np.lexsort((at_random, gaps[finalists]))}
        named = {MAXIMUM: int(means.argmax())}
        for n in n_seeds:
            best = max(range(TOP_K), key=lambda place: runs[place][:n].mean())  # noqa: B023
            behind = [compare(runs[best][:n], one[:n]) for one in runs]
            for order, ranks in orders.items():
                for band in BANDS:
                    named[f"{n} seeds, {order}, band {band:g}"] = int(
                        finalists[smallest_within(band, behind, ranks.tolist())]
                    )
        for rule, place in named.items():
            wrong[rule] = wrong.get(rule, 0) + bool(gaps[place] < gaps.max() - tolerance)
    return wrong


def smallest_within(band: float, behind: Sequence[Difference], sizes: Sequence[int]) -> int:
    """Return the place of the smallest of those within so many standard errors of the best."""
    tied = [place for place, difference in enumerate(behind) if difference.mean <= band * difference.error]
    return min(tied, key=lambda place: sizes[place])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=100, help="first of the generators' seeds")
    parser.add_argument("--n-seeds", type=int, default=20)
    parser.add_argument("--n-searches", type=int, default=400, help="of each seed and truth")
    args = parser.parse_args()
    seeds = range(args.seed, args.seed + args.n_seeds)
    n = args.n_searches * args.n_seeds
    print(
        f"seeds {seeds[0]} to {seeds[-1]}, {args.n_searches} searches each: shares of {n}, standard error about 0.002"
    )
    counts = {
        truth.__name__: [false_winners(truth, (3, 5), np.random.default_rng(seed), args.n_searches) for seed in seeds]
        for truth in TRUTHS
    }
    print("| rule |", " | ".join(counts), "|\n|---|---:|---:|---:|")
    for rule in counts[TRUTHS[0].__name__][0]:
        cells = (f"{sum(one[rule] for one in found) / n:.4f}" for found in counts.values())
        print(f"| {rule} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()

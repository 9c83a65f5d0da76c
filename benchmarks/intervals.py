"""How often an interval called 95 % holds the truth, in worlds whose truth is known; nothing is trained.

``python -m benchmarks.intervals --seed 100`` prints the finalists' interval (``search/choice.py``) beside what else one
might take, then the paired bootstrap's by the number of rows on which two models differ.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy.stats import t as student

from mlpsweep.evaluation.statistics import paired_bootstrap
from mlpsweep.search.choice import compare
from mlpsweep.types import FloatArray

N_SEEDS: Final = (2, 3, 5)


@dataclass(frozen=True)
class World:
    """Differences of two configurations over seeds and rows whose true mean is 0.

    Parameters
    ----------
    n_rows : int
    seeds, rows, rest : float
        Standard deviations of what a seed, a row, and each training adds on each row.
    """

    n_rows: int
    seeds: float
    rows: float
    rest: float

    def draw(self, n_seeds: int, rng: np.random.Generator) -> FloatArray:
        """Return differences of shape (n_seeds, n_rows)."""
        of_seeds, of_rows = rng.normal(size=(n_seeds, 1)), rng.normal(size=(1, self.n_rows))
        drawn: FloatArray = (
            self.seeds * of_seeds + self.rows * of_rows + self.rest * rng.normal(size=(n_seeds, self.n_rows))
        )
        return drawn


WORLDS: Final[Mapping[str, World]] = MappingProxyType(
    {
        "only seeds vary": World(400, 1, 0, 0),
        "only rows vary": World(400, 0, 1, 0),
        "both alike": World(400, 0.05, 1, 0.5),
        "both, and seeds twice": World(400, 0.1, 1, 1),
        "only single trainings on single rows": World(400, 0, 0, 1),
        "seeds dominate, 20 rows": World(20, 1, 1, 1),
        "rows dominate, seeds a little": World(400, 0.01, 1, 0.3),
    }
)


def covers(drawn: FloatArray) -> bool:
    """Return whether the finalists' interval holds the truth."""
    low, high = compare(drawn, np.zeros_like(drawn)).interval
    return low <= 0 <= high


def coverage(world: World, n_seeds: int, rng: np.random.Generator, n_draws: int) -> float:
    """Return the share of draws whose interval holds the truth."""
    return float(np.mean([covers(world.draw(n_seeds, rng)) for _ in range(n_draws)]))


def others(world: World, n_seeds: int, rng: np.random.Generator, n_draws: int) -> Iterator[float]:
    """Yield the coverage of the mean plus or minus so many standard errors: 1.96, t at n - 1, Satterthwaite's t."""
    hits = np.zeros(3)
    for _ in range(n_draws):
        drawn = world.draw(n_seeds, rng)
        found = compare(drawn, np.zeros_like(drawn))
        quantiles = student.ppf(0.975, [np.inf, n_seeds - 1, satterthwaite(drawn, found.error**2)])
        hits += abs(found.mean) <= quantiles * found.error
    yield from hits / n_draws


def satterthwaite(drawn: FloatArray, variance: float) -> float:
    """Return the degrees of freedom of a variance that is put together from seeds, rows and the rest."""
    n_seeds, n_rows = drawn.shape
    of_seeds, of_rows = drawn.mean(axis=1), drawn.mean(axis=0)
    rest = drawn - of_seeds[:, None] - of_rows + drawn.mean()
    free = np.array([n_seeds - 1, n_rows - 1, (n_seeds - 1) * (n_rows - 1)])
    parts = np.array([of_seeds.var(ddof=1) / n_seeds, of_rows.var(ddof=1) / n_rows, (rest**2).sum() / free[2]])
    parts[2] /= drawn.size
    return float(variance**2 / (parts**2 / free).sum())


def bootstrap_coverage(n_discordant: float, share: float, rng: np.random.Generator, n_draws: int) -> float:
    """Return how often the bootstrap holds the true difference of two models on 10,000 rows.

    Parameters
    ----------
    n_discordant : float
        Rows that exactly one of the two has right, on average.
    share : float
        Share of them that the first has right.
    """
    n = 10_000
    first, second = n_discordant * share / n, n_discordant * (1 - share) / n
    hits = 0
    for only_first, only_second, rest in rng.multinomial(n, [first, second, 1 - first - second], size=n_draws):
        rows = np.repeat([1.0, -1.0, 0.0], [only_first, only_second, rest])
        found = paired_bootstrap(rows, np.zeros(n), rng, n_resamples=1000)
        hits += found.low <= first - second <= found.high
    return hits / n_draws


def table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    print(f"| {title} |", " | ".join(columns), "|\n|---|" + "---|" * len(columns))
    for name, cells in rows.items():
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--n-draws", type=int, default=4000)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    print(f"seed {args.seed}, {args.n_draws} draws each: the standard error of a coverage is 0.003")
    rows = {}
    for name, world in WORLDS.items():
        found = [
            [coverage(world, n, rng, args.n_draws), *others(world, n, rng, args.n_draws)] for n in N_SEEDS
        ]  # (n_seeds, rule)
        rows[name] = [" ".join(f"{one:.3f}" for one in rule) for rule in zip(*found, strict=True)]
    table("2, 3 and 5 seeds", ["ours", "1.96", "t at n - 1", "t at Satterthwaite's"], rows)
    shares = (0.5, 0.7, 0.9, 1.0)
    discordant = {
        str(n): [f"{bootstrap_coverage(n, share, rng, args.n_draws):.3f}" for share in shares]
        for n in (2, 3, 5, 10, 20, 40, 160)
    }
    table("discordant rows of 10,000", [f"{share:.0%} for the first" for share in shares], discordant)


if __name__ == "__main__":
    main()

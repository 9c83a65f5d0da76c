"""The page of results: what each recipe reached on its seeds beside what is published; trains nothing."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from mlpsweep.evaluation.folder import EvaluationFolder
from mlpsweep.evaluation.statistics import spread_of
from mlpsweep.figures.training import comparison
from mlpsweep.tables import Column, Table, counted
from mlpsweep.training.folder import TrainingFolder
from pipeline.published import BOUNDS, PUBLISHED, Published

HEAD: Final = """# Results

Written by `make recipes`, which trains every recipe of `conf/recipe/` and measures it on the test split. One row
again: `python -m pipeline.train recipe=manual_tanh seed=0`.

A published row is met if our mean accuracy is at least *published - 2 sqrt(SE² + s²)*: SE is the standard error of the
test split, s the standard deviation over our seeds. Where costs are published, our mean must be within 5 % of every
epoch's (the first epoch of `manual_relu`: 8 %).
"""
RESULT_COLUMNS: Final = (
    Column("recipe", "recipe"),
    Column("source", "source"),
    Column("published_train", "published train", "percent"),
    Column("train", "train", "percent"),
    Column("published_test", "published test", "percent"),
    Column("test", "test", "percent"),
    Column("spread", "s", "percent"),
    Column("least", "at least", "percent"),
    Column("met", "met"),
    Column("remark", "remark"),
    Column("run_key", "run_key of the first seed"),
)
TIME_COLUMNS: Final = (
    Column("recipe", "recipe"),
    Column("seconds", "training, a seed", "seconds"),
    Column("updates_per_s", "updates/s", "count"),
    Column("published_updates_per_s", "published", "count"),
)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One recipe trained with one seed and evaluated.

    Parameters
    ----------
    run_key : str
    train, test : float
        Accuracy, 0 .. 1.
    history : tuple of mapping
        ``history.csv``: per epoch, column to number.
    f1 : tuple of float
        F1 of each class on the test split.
    seconds, updates_per_s : float or None
        Time and speed of the training without its measurements; None if nothing was trained.
    """

    run_key: str
    train: float
    test: float
    history: tuple[Mapping[str, float], ...]
    f1: tuple[float, ...]
    seconds: float | None
    updates_per_s: float | None

    @property
    def costs(self) -> tuple[float, ...]:
        """Cost of each epoch; empty if it was not recorded."""
        return tuple(epoch["train/cost"] for epoch in self.history if "train/cost" in epoch)


def load_attempt(folder: Path, samples_per_s: float | None, batch_size: int) -> Attempt:
    """Return the result that a training's folder and its evaluation hold.

    Parameters
    ----------
    folder : Path
        As ``train`` wrote it; the evaluation lies beside it, with ``.evaluation`` behind the name.
    samples_per_s : float or None
        Measured speed, rows a second.
    batch_size : int
        Rows per update.
    """
    evaluation = EvaluationFolder.beside(folder)
    metrics, history = evaluation.metrics(), TrainingFolder(folder).history()
    measured = tuple({name: value for name, value in epoch.items() if value is not None} for epoch in history)
    speed = samples_per_s / batch_size if samples_per_s and history else None
    return Attempt(
        run_key=metrics["model"]["run_key"],
        train=metrics["train"]["accuracy"],
        test=metrics["test"]["accuracy"],
        history=measured,
        f1=evaluation.f1(),
        seconds=measured[-1]["update"] / speed if speed else None,
        updates_per_s=speed,
    )


def mean_costs(attempts: Sequence[Attempt]) -> tuple[float, ...]:
    """Return the mean cost of each epoch over the seeds."""
    return tuple(statistics.fmean(costs) for costs in zip(*(attempt.costs for attempt in attempts), strict=True))


def result_row(recipe: str, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Return a recipe's row of the first table; means over its seeds."""
    tests = [attempt.test for attempt in attempts]
    spread, mean = spread_of(tests), statistics.fmean(tests)
    row = {
        "recipe": f"`{recipe}`",
        "train": statistics.fmean(attempt.train for attempt in attempts),
        "test": mean,
        "spread": spread,
        "run_key": f"`{attempts[0].run_key[:12]}`",
    }
    if recipe in BOUNDS:
        low, high = BOUNDS[recipe]
        return row | {"source": "own", "least": low, "met": "yes" if low <= mean <= high else "no"}
    theirs = PUBLISHED.get(recipe, Published(source="own"))
    is_met = theirs.is_met(tests, mean_costs(attempts))
    return row | {
        "source": theirs.source,
        "published_train": theirs.train,
        "published_test": theirs.test,
        "least": theirs.least(spread),
        "met": ("yes" if is_met else "no") if recipe in PUBLISHED else None,
        "remark": theirs.remark or None,
    }


def time_row(recipe: str, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Return a recipe's row of the last table."""
    seconds = [attempt.seconds for attempt in attempts if attempt.seconds]
    speeds = [attempt.updates_per_s for attempt in attempts if attempt.updates_per_s]
    published = PUBLISHED.get(recipe)
    return {
        "recipe": f"`{recipe}`",
        "seconds": statistics.fmean(seconds) if seconds else None,
        "updates_per_s": round(statistics.fmean(speeds)) if speeds else None,
        "published_updates_per_s": round(published.updates_per_s) if published and published.updates_per_s else None,
    }


def cost_table(attempts: Mapping[str, Sequence[Attempt]]) -> Table | None:
    """Return published and mean cost of each epoch, or None if no recipe has both."""
    ours = {name: mean_costs(seeds) for name, seeds in attempts.items() if name in PUBLISHED and PUBLISHED[name].costs}
    columns, n_epochs = [Column("epoch", "epoch", "count")], max(map(len, ours.values()), default=0)
    for name in ours:
        columns += [
            Column(f"{name} theirs", f"{PUBLISHED[name].source}", "number"),
            Column(name, f"`{name}`", "number"),
        ]
        columns += [Column(f"{name} off", "off by, %", "points")]
    rows: list[dict[str, Any]] = [{"epoch": epoch + 1} for epoch in range(n_epochs)]
    for name, costs in ours.items():
        for row, cost, theirs in zip(rows, costs, PUBLISHED[name].costs, strict=False):
            row |= {name: cost, f"{name} theirs": theirs, f"{name} off": cost / theirs - 1.0}
    return Table("costs", tuple(columns), tuple(rows)) if ours else None


def figures(attempts: Mapping[str, Sequence[Attempt]]) -> dict[str, Figure]:
    """Return by file name our curves over the published points: accuracy of the first seed, mean cost."""
    ours = {
        name: [(epoch["epoch"], epoch["test/accuracy"]) for epoch in seeds[0].history if "test/accuracy" in epoch]
        for name, seeds in attempts.items()
        if name in PUBLISHED and PUBLISHED[name].per_epoch
    }
    theirs = {name: list(enumerate(PUBLISHED[name].per_epoch, start=1)) for name in ours}
    costs = {
        name: list(enumerate(mean_costs(seeds), start=1))
        for name, seeds in attempts.items()
        if name in PUBLISHED and PUBLISHED[name].costs
    }
    their_costs = {name: list(enumerate(PUBLISHED[name].costs, start=1)) for name in costs}
    drawn = {"recipes_accuracy.png": comparison(ours, "test/accuracy", theirs)} if ours else {}
    return drawn | ({"recipes_cost.png": comparison(costs, "train/cost", their_costs)} if costs else {})


def render_results(attempts: Mapping[str, Sequence[Attempt]], images: Sequence[str] = ()) -> str:
    """Return the page as Markdown; only its last table differs between equal trainings.

    Parameters
    ----------
    attempts : mapping of str to sequence of Attempt
        By recipe, in the order of the seeds, at least one each; recipes without any are left out.
    images : sequence of str
        Addresses of the figures, relative to the page.
    """
    rows = tuple(result_row(name, seeds) for name, seeds in attempts.items())
    n_met = sum(row["met"] == "yes" for name, row in zip(attempts, rows, strict=True) if name in PUBLISHED)
    n_seeds = max(map(len, attempts.values()), default=0)
    parts = [
        HEAD,
        f"Met: {n_met} of {len(PUBLISHED)} published rows. Means over {counted(n_seeds, 'seed')}.\n",
        Table("results", RESULT_COLUMNS, rows).to_markdown(),
        *(f"![{Path(image).stem.replace('_', ' ')}; crosses: published]({image})\n" for image in images),
    ]
    if costs := cost_table(attempts):
        parts += ["## Cost of each epoch\n", costs.to_markdown()]
    times = tuple(time_row(name, seeds) for name, seeds in attempts.items())
    parts += ["## Time, on one BLAS thread\n", Table("times", TIME_COLUMNS, times).to_markdown()]
    return "\n".join(parts)

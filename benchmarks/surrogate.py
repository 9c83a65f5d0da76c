"""Trainings that take no time: recorded learning curves, and what a model of them says of any configuration.

The log-odds of the curves are taken apart into principal components, each of which is a Gaussian process over the
hyperparameters; a training's luck is what the model leaves over of one recorded curve, drawn at random. Averages of
weights have a model of their own, of how far they are from the curve's end. Nothing here knows a search.
"""

import csv
import dataclasses
import functools
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import yaml
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from mlpsweep.nn.network import n_parameters
from mlpsweep.search.proposals import Slot, build_proposer, derive_seed
from mlpsweep.search.rungs import first_look
from mlpsweep.search.settings import SpaceSettings
from mlpsweep.search.space import Space
from mlpsweep.settings import DataSettings, TrainSettings
from mlpsweep.training.run import TrainingResult, run_training
from mlpsweep.training.trainer import Look

FloatArray = npt.NDArray[np.float64]
ROOT: Final = Path(__file__).resolve().parents[1]
FILE: Final = ROOT / "benchmarks/curves.csv"
N_EPOCHS, N_AVERAGED, N_COMPONENTS = 8, 3, 2
EPOCHS: Final = [f"accuracy_{epoch}" for epoch in range(1, N_EPOCHS + 1)]
AVERAGES: Final = [f"average_{epoch}" for epoch in range(1, N_AVERAGED + 1)]
LOOK: Final = "average_0"
ACTIVATIONS: Final = ("sigmoid", "tanh", "relu")
MIDDLE: Final = np.array([0.0, 0.0, 0.0, np.log(0.07), 0.05, 2.0, *[np.log(128)] * 3])
HALF: Final = np.array([1.0, 1.0, 1.0, 2.0, 0.05, 1.0, *[1.4] * 3])
"""The space's middle and half its width: in these units every hyperparameter lies in about -1 .. 1."""


def default_space(seed: int) -> Space:
    """Return the default space over the default search's settings."""
    train = yaml.safe_load((ROOT / "conf/train.yaml").read_text())
    known = {field.name for field in dataclasses.fields(TrainSettings)} & train.keys()
    groups = {"optimizer": {"name": "sgd"}, "schedule": {"name": "cosine"}, "augment": {"name": "none"}}
    base = TrainSettings.build(
        {name: train[name] for name in known}
        | groups
        | {"n_epochs": N_EPOCHS, "seed": seed, "data": DataSettings.named("mnist", [ROOT / "conf"])}
    )
    card = yaml.safe_load((ROOT / "conf/space/card.yaml").read_text())
    return Space.build(SpaceSettings.build(card), base, 784, 10)


@dataclass(frozen=True)
class Trained:
    """What one training reports: the accuracy of its raw and its averaged weights by epoch; their end is one.

    ``look`` is that of the averaged weights after a quarter of the first epoch.
    """

    raw: FloatArray
    averaged: FloatArray
    look: float


class Surrogate:
    """What is known of the recorded curves, as a function of the configuration.

    Parameters
    ----------
    rows : sequence of mapping
        The recorded rows.
    """

    def __init__(self, rows: Sequence[Mapping[str, str]]) -> None:
        x = np.array([features(configuration(row)) for row in rows])
        curves = log_odds(rows, EPOCHS)
        self._curves = _Model(x, curves, N_COMPONENTS)
        kept = [i for i, row in enumerate(rows) if row[AVERAGES[0]]]
        # Luck that a training's end has, its averages have as well: so they are measured from that end.
        behind = log_odds([rows[i] for i in kept], AVERAGES) - curves[kept, -1:]
        self._behind = _Model(x[kept], behind, N_COMPONENTS)
        early = log_odds([rows[i] for i in kept], [LOOK]) - curves[kept, -1:]
        self._early = _Model(x[kept], early, 1)
        self._luck = self._curves.rest[kept], self._behind.rest, self._early.rest

    def train(self, overrides: Mapping[str, Any], seed: int) -> Trained:
        """Return the curve of one configuration; an equal configuration and seed give an equal one."""
        drawn = int(np.random.default_rng(seed).integers(len(self._luck[0])))
        x = np.array([features(overrides)])
        raw = self._curves.predict(x)[0] + self._luck[0][drawn]
        behind = self._behind.predict(x)[0] + self._luck[1][drawn]
        # Averages were recorded for three epochs; from there they are taken to come nearer to the end evenly.
        left = np.arange(N_EPOCHS - N_AVERAGED - 1, -1, -1) / (N_EPOCHS - N_AVERAGED)
        averaged = raw[-1] + np.concatenate([behind, behind[-1] * left])
        look = raw[-1] + self._early.predict(x)[0, 0] + self._luck[2][drawn, 0]
        return Trained(1 / (1 + np.exp(-raw)), 1 / (1 + np.exp(-averaged)), 1 / (1 + np.exp(-look)))


class _Model:
    """Principal components, each a Gaussian process; ``rest`` is what they leave over of each curve."""

    def __init__(self, x: FloatArray, y: FloatArray, n_components: int) -> None:
        self._pca = PCA(n_components).fit(y)
        shape = Matern(np.full(x.shape[1], 2.0), (0.5, 50.0), nu=2.5)
        kernel = ConstantKernel(1.0, (0.01, 100.0)) * shape + WhiteKernel(0.1, (1e-3, 1.0))
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # a length at its bound: this hyperparameter says nothing
            self._processes = [
                GaussianProcessRegressor(kernel, normalize_y=True).fit(x, part) for part in self._pca.transform(y).T
            ]
        self.rest = y - self.predict(x)

    def predict(self, x: FloatArray) -> FloatArray:
        parts = np.column_stack([process.predict(x) for process in self._processes])
        return np.asarray(self._pca.inverse_transform(parts))


@functools.cache
def recorded() -> tuple[dict[str, str], ...]:
    """Return the rows of the file of curves."""
    lines = (line for line in FILE.read_text().splitlines() if not line.startswith("#"))
    return tuple(csv.DictReader(lines))


@functools.cache
def fitted() -> Surrogate:
    """Return the surrogate of the recorded curves."""
    return Surrogate(recorded())


def record(n: int) -> None:
    """Train so many further configurations, drawn at random, on data/prepared/mnist, and add them to the file."""
    from benchmarks.peers import default_dataset

    space, dataset, known = default_space(0), default_dataset(), len(recorded())
    draw = build_proposer("random", space, "validation/accuracy").propose
    for number in range(known + 1, known + n + 1):
        params, started = draw(Slot(number)), time.process_time()
        raw = dataclasses.replace(space.settings(params), seed=derive_seed("curves", number))
        curves = [_accuracies(run_training(raw, dataset))]
        row = {**space.overrides(params), "cpu_s": f"{time.process_time() - started:.1f}"}
        looked: list[Mapping[str, float]] = []
        averaged, look = dataclasses.replace(raw, averaging=0.99), Look(first_look(N_EPOCHS), looked.append)
        curves.append(_accuracies(run_training(averaged, dataset, look=look)))
        row |= {"hidden_sizes": "-".join(map(str, raw.hidden_sizes)), "n_parameters": space.n_parameters(raw)}
        for names, curve in zip((EPOCHS, AVERAGES), curves, strict=True):
            row |= dict(zip(names, curve, strict=False))
        row[LOOK] = looked[0]["validation/accuracy"]
        with FILE.open("a") as file:
            csv.DictWriter(file, list(recorded()[0]), lineterminator="\n").writerow(row)
    recorded.cache_clear()


def _accuracies(result: TrainingResult) -> list[float | None]:
    return [epoch.validation_accuracy for epoch in result.history]


def print_ranks() -> None:
    """Print Spearman's correlation of recorded values with their ends, of all configurations and of the better half."""
    print("| measured | configurations | all | the better half |\n" + "|---" * 4 + "|")
    for name in (LOOK, *AVERAGES, *EPOCHS[: len(AVERAGES)]):
        rows = [row for row in recorded() if row[name]]
        values, ends = (np.array([float(row[column]) for row in rows]) for column in (name, EPOCHS[-1]))
        better = ends >= np.median(ends)
        ranks = [spearmanr(values[part], ends[part]).statistic for part in (ends > -1, better)]
        print(f"| {name} | {len(rows)} | {ranks[0]:.3f} | {ranks[1]:.3f} |")


def configuration(row: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of a recorded row."""
    widths = [int(width) for width in row["hidden_sizes"].split("-")]
    numbers = {name: float(row[name]) for name in ("learning_rate", "l2_lambda")}
    return {"activation": row["activation"], "hidden_sizes": widths, **numbers}


def features(overrides: Mapping[str, Any]) -> FloatArray:
    """Return a configuration as numbers; a layer that is not there has the middle width."""
    one_hot = [float(overrides["activation"] == name) for name in ACTIVATIONS]
    widths = [np.log(width) for width in overrides["hidden_sizes"]]
    numbers = [np.log(overrides["learning_rate"]), overrides["l2_lambda"], len(widths)]
    return np.asarray((np.array([*one_hot, *numbers, *widths, *MIDDLE[6 + len(widths) :]]) - MIDDLE) / HALF)


def log_odds(rows: Iterable[Mapping[str, str]], names: Sequence[str]) -> FloatArray:
    """Return columns of the recorded rows in log-odds."""
    shares = np.array([[float(row[name]) for name in names] for row in rows])
    return np.asarray(np.log(shares / (1 - shares)))


def epoch_seconds(hidden_sizes: Sequence[int]) -> float:
    """Return what an epoch takes: fitted to 193 epochs of seven searches with two workers, to 0.04 s."""
    return 0.045 + 1.2 * n_parameters((784, *hidden_sizes, 10)) / 543_000

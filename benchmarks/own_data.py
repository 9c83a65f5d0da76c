"""Networks on files of one's own beside scikit-learn's: test accuracy, means of five seeds.

Four sets that tests/own_sets.py writes, each in another format: five overlapping classes, two of the sets unbalanced.
Both systems get the same rows, standardised, the same width, relu, rate, batch size, L2, epochs and distribution of the
first weights and biases, plain SGD.

    python -m benchmarks.own_data [--seeds 5]
"""

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from mlpsweep.data.dataset import Dataset, Split
from mlpsweep.data.ready import DataFolders
from mlpsweep.datasets import DataSettings
from mlpsweep.evaluation.metrics import evaluate_model
from mlpsweep.settings import TrainSettings
from mlpsweep.training.run import run_training
from tests import own_sets

WRITERS: Final = (own_sets.hard_csv, own_sets.hard_npz, own_sets.hard_pictures, own_sets.hard_idx)
WIDTH, RATE, BATCH, L2, EPOCHS = 32, 0.02, 32, 0.1, 20


def rows_of(split: Split, dataset: Dataset) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return what a network sees of a split, and its classes."""
    images = split.images[split.rows].reshape(len(split), -1)
    return images * np.float32(dataset.scale) + np.float32(dataset.shift), split.labels[split.rows]


def ours(settings: DataSettings, dataset: Dataset, seed: int) -> float:
    """Return our test accuracy."""
    asked = TrainSettings(
        data=settings, activation="relu", hidden_sizes=(WIDTH,), learning_rate=RATE, batch_size=BATCH, l2_lambda=L2,
        bias_init="weights", n_epochs=EPOCHS, seed=seed,
    )  # fmt: skip
    return evaluate_model(run_training(asked, dataset).model, dataset).splits["test"].accuracy


def theirs(dataset: Dataset, seed: int) -> float:
    """Return scikit-learn's test accuracy."""
    assert dataset.test is not None
    peer = MLPClassifier(
        (WIDTH,), solver="sgd", momentum=0.0, nesterovs_momentum=False, learning_rate_init=RATE, batch_size=BATCH,
        alpha=L2, max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it was given so many epochs
        peer.fit(*rows_of(dataset.train, dataset))
    return float(peer.score(*rows_of(dataset.test, dataset)))


def compared(n_seeds: int) -> list[str]:
    """Return the table as Markdown, a set in a row."""
    lines = ["| set | mlpsweep | scikit-learn | difference | in standard errors |", "|---" * 5 + "|"]
    with tempfile.TemporaryDirectory() as name:
        for write in WRITERS:
            folder = Path(name) / write.__name__
            told = write(folder) | {"path": str(folder), "n_epochs": EPOCHS, "n_validation": 60}
            settings = DataSettings.build(told)
            dataset = DataFolders.below(Path(name)).open(settings, with_test=True)[1]
            both = np.array([(ours(settings, dataset, seed), theirs(dataset, seed)) for seed in range(n_seeds)])
            mine, peer = both.mean(axis=0)
            error = np.sqrt((both.var(axis=0, ddof=1) / n_seeds).sum())
            lines.append(
                f"| {settings.name} | {mine:.2%} | {peer:.2%} | {mine - peer:+.2%} | {(mine - peer) / error:+.1f} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    print("\n".join(compared(parser.parse_args().seeds)))


if __name__ == "__main__":
    main()

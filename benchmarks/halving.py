"""Run scikit-learn's successive halving over epochs, and note each training as it ends."""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import loguniform, uniform
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingRandomSearchCV, PredefinedSplit
from sklearn.neural_network import MLPClassifier

from benchmarks.peers import N_WORKERS, NAMES, card, default_dataset


class NotedClassifier(MLPClassifier):  # type: ignore[misc]
    """A classifier that writes when it was trained and what it reached."""

    def fit(self, X: Any, y: Any) -> "NotedClassifier":
        self.begin_ = time.time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            super().fit(X, y)
        return self

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        value = float(super().score(X, y))
        line = json.dumps([self.begin_, time.time(), self.n_iter_, value])
        with Path(sys.argv[2]).open("a") as file:
            file.write(f"{line}\n")
        return value


def main() -> None:
    budget, space, rng = json.loads(sys.argv[1]), card(), np.random.default_rng(0)
    dataset = default_dataset()
    parts = (dataset.train, dataset.validation)
    x = np.concatenate([split.images[split.rows] for split in parts]) * np.float32(dataset.scale)
    x += np.float32(dataset.shift)
    y = np.concatenate([split.labels[split.rows] for split in parts])
    fold = np.repeat([-1, 0], [len(split) for split in parts])
    rate, l2, sizes = space["learning_rate"], space["l2_lambda"], space["hidden_sizes"]
    (shallow, deep), (low, high) = ((part["low"], part["high"]) for part in (sizes["depth"], sizes["width"]))
    depths = rng.integers(shallow, deep + 1, 500)
    drawn = [tuple(np.exp(rng.uniform(np.log(low), np.log(high), depth)).astype(int)) for depth in depths]
    search = HalvingRandomSearchCV(
        NotedClassifier(solver="sgd", momentum=0.0, batch_size=64, random_state=budget["seed"]),
        {
            "activation": [NAMES.get(name, name) for name in space["activation"]["choices"]],
            "alpha": uniform(l2["low"], l2["high"] - l2["low"]),
            "learning_rate_init": loguniform(rate["low"], rate["high"]),
            "hidden_layer_sizes": drawn,
        },
        n_candidates=budget["n_trials"],
        resource="max_iter",
        min_resources=1,
        max_resources=budget["n_epochs"],
        factor=2,
        cv=PredefinedSplit(fold),
        refit=False,
        n_jobs=N_WORKERS,
        random_state=budget["seed"],
        return_train_score=False,
    )
    search.fit(x, y)


if __name__ == "__main__":
    main()

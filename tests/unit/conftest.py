"""A model without training: the nearest class mean, which is a linear network."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mlpsweep.config import to_yaml
from mlpsweep.data.dataset import Dataset
from mlpsweep.evaluation.folder import EvaluationFolder
from mlpsweep.evaluation.metrics import Evaluation, evaluate_model
from mlpsweep.figures.errors import draw_evaluation
from mlpsweep.figures.style import png_bytes
from mlpsweep.files import write_json
from mlpsweep.nn.network import Params
from mlpsweep.report.data import load_report_data
from mlpsweep.report.results import ReportData
from mlpsweep.search.rows import Search, Stint, TrialRow
from mlpsweep.training.history import EpochRecord, History
from mlpsweep.training.model import Model
from tests.search_lab import base_settings


def nearest_mean(dataset: Dataset, sharpness: float) -> Model:
    train = dataset.train
    x = train.images[train.rows] * dataset.scale + dataset.shift
    labels = train.labels[train.rows]
    means = np.array([x[labels == k].mean(axis=0) for k in range(dataset.manifest.n_classes)])
    params = Params.zeros((dataset.manifest.n_features, dataset.manifest.n_classes))
    params.weights[0][...] = sharpness * means.T
    params.biases[0][...] = -sharpness * (means**2).sum(axis=1) / 2
    return Model(
        params, (), dataset.scale, dataset.shift, {"dataset": "digits", "run_key": "ab" * 32, "data_digest": "cd" * 32}
    )


@pytest.fixture(scope="session")
def model(tiny_dataset: Dataset) -> Model:
    return nearest_mean(tiny_dataset, 0.1)


@pytest.fixture(scope="session")
def evaluation(model: Model, tiny_dataset: Dataset) -> Evaluation:
    return evaluate_model(model, tiny_dataset)


@pytest.fixture
def search() -> Search:
    """Eight trials: five complete, two pruned at epoch 1, one failed; number 4 is the best, 1 and 2 are equal."""
    values = [0.90, 0.96, 0.96, None, 0.98, None, None, 0.93]
    states = ["complete", "complete", "complete", "pruned", "complete", "pruned", "failed", "complete"]
    trials = []
    for number, (value, state) in enumerate(zip(values, states, strict=True)):
        n_layers = 1 + number % 2
        params = {"activation": ["relu", "tanh"][number % 2], "learning_rate": 0.01 * 2**number, "batch_size": 64}
        params |= {f"hidden_sizes.{k + 1}": 32 * (k + number + 1) for k in range(n_layers)}
        epochs = {"complete": (1, 2), "pruned": (1,), "failed": ()}[state]
        reported = tuple((epoch, (value or 0.5) - 0.1 + 0.05 * epoch) for epoch in epochs)
        start = 100.0 + 10 * (number // 2)
        worker = f"host:{number % 2}"
        trials.append(TrialRow(number, state, value, params, reported, (Stint(worker, start, start + 8),)))
    return Search("digits-ab12cd34", "validation/accuracy", tuple(trials), {"learning_rate": 0.7, "activation": 0.3})


def write_model(artifacts: Path, name: str, model: Model, dataset: Dataset) -> None:
    """Write what the stages train and evaluate leave of one model."""
    train = artifacts / "train" / name
    train.mkdir(parents=True)
    records = (EpochRecord(epoch=k, update=k, learning_rate=0.1, train_loss=1.0 / k, train_penalty=0.0,
                           train_accuracy=0.9, validation_accuracy=0.8 + 0.05 * k) for k in (1, 2))  # fmt: skip
    model.save(train / "model.npz")
    (train / "config.yaml").write_text(to_yaml(base_settings(hidden_sizes=[])))
    (train / "history.csv").write_text(History(tuple(records)).to_csv())
    write_json(artifacts / "train" / f"{name}.run.json", {"run_id": "f" * 32, "name": f"{name} 64", "seconds": 3.0})
    evaluation = evaluate_model(model, dataset)
    pictures = {stem: png_bytes(figure) for stem, figure in draw_evaluation(evaluation, dataset, "relu 64").items()}
    EvaluationFolder(artifacts / "evaluate" / name).save(evaluation, pictures)


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory, model: Model, tiny_dataset: Dataset) -> Path:
    """The folder of a pipeline run with one baseline and a winner; read-only, copy it before changing it."""
    folder = tmp_path_factory.mktemp("artifacts")
    write_model(folder, "relu", dataclasses.replace(model, shift=model.shift + 1.5), tiny_dataset)
    write_model(folder, "winner", model, tiny_dataset)
    return folder


@pytest.fixture(scope="session")
def report_data(artifacts: Path) -> ReportData:
    return load_report_data(artifacts)

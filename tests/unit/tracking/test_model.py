"""A logged model is named by what it is, and has its run's params, the metrics of its weights and an example."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.nn.network import Params
from mlpsweep.settings import DataSettings, TrainSettings
from mlpsweep.tracking import lineage
from mlpsweep.tracking.model import copy_code, link_metrics, model_name, model_of
from mlpsweep.tracking.run import Run
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import open_store
from mlpsweep.tracking.training_runs import log_training
from mlpsweep.training.folder import TrainingFolder
from mlpsweep.training.model import Model
from mlpsweep.training.run import run_training

SETTINGS = TrainSettings(
    data=DataSettings.named("digits"), activation="relu", hidden_sizes=(8,), n_epochs=3, learning_rate=0.1
)


@pytest.mark.parametrize(
    ("activations", "sizes", "data", "name"),
    [
        (("relu", "relu"), (64, 324, 173, 10), "mnist", "mnist-relu-324-173"),
        (("relu", "tanh"), (4, 3, 2, 2), "mnist", "mnist-relu+tanh-3-2"),
        ((), (4, 2), "mnist", "mnist-linear"),
        (("relu",), (4, 3, 2), "my.own/set: 1%", "my_own_set__1_-relu-3"),
    ],
)
def test_a_name_says_data_activation_and_widths_in_letters_that_mlflow_takes(
    activations: tuple[str, ...], sizes: tuple[int, ...], data: str, name: str
) -> None:
    assert model_name(Model(Params.zeros(sizes), activations, 1.0, 0.0, {"dataset": data})) == name


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_dataset: Dataset) -> Iterator[Run]:
    """A tracked training of three epochs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder, result = TrainingFolder(tmp_path / "first"), run_training(SETTINGS, tiny_dataset)
    folder.save(result, SETTINGS, b"png")
    with open_store(TrackingSettings(uri=f"sqlite:///{tmp_path}/mlflow.db"), "digits") as store:
        run = store.start_run("first", tags=lineage.source("pipeline.train"), params=lineage.params(SETTINGS, 10))
        for record in result.history:
            run.log_epoch(record)
        images = tiny_dataset.train.images[:1]
        log_training(run, folder, result, images)
        run.end("FINISHED")
        assert store.queue.drain() == 0
        yield run


@pytest.mark.slow
# What MLflow says to itself: of SQLAlchemy's future, and of its own types as they are imported.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning")
def test_a_model_shows_what_its_run_knows(trained: Run, tmp_path: Path, tiny_dataset: Dataset) -> None:
    from mlflow.models import Model as Description

    number = model_of(trained.client.get_run(trained.run_id))
    assert number
    run = trained.client.get_run(trained.run_id)
    logged = trained.client.get_logged_model(number)
    assert logged.name == f"{tiny_dataset.manifest.dataset}-relu-8"
    assert logged.params == run.data.params
    assert logged.tags.items() >= lineage.source("pipeline.train").items()
    metrics = {metric.key: (metric.step, metric.value) for metric in logged.metrics}
    assert {"train/accuracy", "validation/accuracy", "validation/loss"} < metrics.keys()
    assert not any(name.startswith("batch/") for name in metrics)
    assert metrics["validation/loss"] == (3, run.data.metrics["validation/loss"])

    trained.log_metrics({"test/accuracy": 0.5})
    for _ in range(2):
        link_metrics(trained)
    assert trained.queue.drain() == 0
    again = {metric.key: metric.value for metric in trained.client.get_logged_model(number).metrics}
    assert again == {name: value for name, (_, value) in metrics.items()} | {"test/accuracy": 0.5}
    for name in again:
        steps = [point.step for point in trained.client.get_metric_history(trained.run_id, name)]
        assert len(steps) == len(set(steps)), f"{name} is doubled"

    (folder,) = (tmp_path / "mlruns/digits/models").glob("*/artifacts")
    example = Description.load(str(folder)).load_input_example(str(folder))
    np.testing.assert_array_equal(example, tiny_dataset.train.images[:1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning")
def test_a_model_that_stopped_early_has_the_metrics_of_its_weights(trained: Run) -> None:
    number = model_of(trained.client.get_run(trained.run_id))
    assert number
    trained.client.log_metric(trained.run_id, "epoch_of_weights", 2, step=1)
    trained.log_metrics({"validation/brier": 0.3}, step=2)
    trained.log_metrics({"validation/brier": 0.7}, step=3)
    link_metrics(trained)
    assert trained.queue.drain() == 0
    metrics = {metric.key: metric.value for metric in trained.client.get_logged_model(number).metrics}
    assert metrics["validation/brier"] == 0.3


WORDS = """
import sys
sys.path.insert(0, sys.argv[1])
import mlpsweep.training.model
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("mlpsweep")), sep="\\n")
"""


def test_a_model_brings_all_the_code_that_it_imports(tmp_path: Path) -> None:
    code = copy_code(tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", "-c", WORDS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    used = {Path(line) for line in done.stdout.splitlines()}
    assert used <= set(code.rglob("*.py"))
    assert len(used) > 10

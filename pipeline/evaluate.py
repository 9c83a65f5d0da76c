"""Measure a trained model on train, validation and test; the only door that opens the test split.

Reads model_dir and data/prepared/<name>; writes metrics.json, predictions.csv, the confusion matrix, the classification
report and misclassified.png into output_dir, and into the training's own run. With register=true the model becomes
the champion of MLflow's model registry. Exit code 3 if data or model do not fit.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.door import Context, Door, enter
from pipeline.settings import EvaluateJob, PathSettings

if TYPE_CHECKING:
    from mlpsweep.evaluation.metrics import Evaluation
    from mlpsweep.settings import TrainSettings
    from mlpsweep.tracking.run import Run
    from mlpsweep.tracking.store import Store
    from mlpsweep.training.model import Model


def run(settings: EvaluateJob, context: Context) -> None:
    """Evaluate, write, track."""
    model_dir = Path(settings.model_dir)
    model, trained = trained_model(model_dir)

    from mlpsweep.data.dataset import load_dataset
    from mlpsweep.evaluation.folder import write_evaluation
    from mlpsweep.evaluation.metrics import evaluate_model
    from mlpsweep.figures.errors import draw_evaluation
    from mlpsweep.figures.style import png_bytes
    from mlpsweep.figures.training import first_layer
    from mlpsweep.tracking.store import open_store

    dataset = load_dataset(prepared_for(model, settings.paths), trained.data, with_test=True)
    store = open_store(settings.tracking, dataset.manifest.dataset)
    evaluation = evaluate_model(model, dataset)
    folder = Path(settings.output_dir or f"{model_dir}.evaluation")
    units = first_layer(model.params.weights[0], dataset.manifest.image_shape, f"{evaluation.title}: first layer")
    figures = {**draw_evaluation(evaluation, dataset), "first_layer": units}
    write_evaluation(evaluation, folder, {name: png_bytes(figure) for name, figure in figures.items()})
    tracked = find_run(store, model_dir, model, trained)
    tracked.log_metrics(final_metrics(evaluation))
    tracked.log_files(sorted(folder.iterdir()), "evaluation")
    show(evaluation)
    if settings.register:
        sys.stdout.write(f"{register(tracked, model_dir, model, study_of(trained, Path(settings.paths.artifacts)))}\n")
    sys.stdout.write(f"{folder}  MLflow run {tracked.run_id}\n")


def trained_model(model_dir: Path) -> "tuple[Model, TrainSettings]":
    """Return a trained model and the settings it was trained with.

    Raises
    ------
    DataError
        If the folder lacks a file, or one is damaged.
    """
    from mlpsweep.errors import DataError

    weights, recorded = model_dir / "model.npz", model_dir / "config.yaml"
    for file in (weights, recorded):
        if not file.exists():
            raise DataError(f"model_dir: {file} is missing. Name a folder that `python -m pipeline.train` wrote.")
    from mlpsweep import config
    from mlpsweep.settings import TrainSettings
    from mlpsweep.training.model import Model

    return Model.load(weights), TrainSettings.build(config.read_yaml(recorded.read_text(), str(recorded)))


def prepared_for(model: "Model", paths: PathSettings) -> Path:
    """Return the folder of a model's data; a stand-in lies where the set lies that it stands for."""
    return Path(paths.prepared) / str(model.metadata["stands_in_for"] or model.metadata["dataset"])


def final_metrics(evaluation: "Evaluation") -> dict[str, float]:
    """Return the metrics under names that do not continue the curves of the training."""
    return {
        name if name.startswith("test/") else name.replace("/", "/final_"): value
        for name, value in evaluation.metrics().items()
    }


def find_run(store: "Store", model_dir: Path, model: "Model", trained: "TrainSettings") -> "Run":
    """Return the run of this training: by the id beside it, else by its run_key, else a new one tagged ``restored``."""
    from mlpsweep.files import read_json
    from mlpsweep.tracking import lineage
    from pipeline.train import record_of

    record, run_key = record_of(model_dir), model.metadata["run_key"]
    known = store.open_run(read_json(record)["run_id"]) if record.exists() else None
    found = known or store.find_run({"run_key": run_key}, "FINISHED")
    if found:
        return found
    tags = {"run_key": run_key, "restored": "true", **lineage.origin()}
    params = lineage.params(trained, model.n_parameters)
    with store.start_run(lineage.run_name(trained), tags=tags, params=params) as restored:
        restored.log_files(sorted(model_dir.iterdir()))
    return restored


def register(tracked: "Run", model_dir: Path, model: "Model", study: str | None) -> str:
    """Make a model the champion of its data set; return what to say of it."""
    from mlpsweep.tracking.registry import CHAMPION, make_champion

    dataset, wanted = model.metadata["dataset"], model.metadata["stands_in_for"]
    if wanted:
        return f"not registered: {dataset} stands in for {wanted}"
    made = make_champion(tracked, model_dir / "model.npz", {"study": study} if study else {})
    if made is None:
        return "not registered: the tracking store did not take it; the same command does it later"
    return f"{made} is the {CHAMPION}: models:/{made.split()[0]}@{CHAMPION}"


def study_of(trained: "TrainSettings", artifacts: Path) -> str | None:
    """Return the study that a training is the winner of, if the search's summary is there and tells the same."""
    from mlpsweep.config import flat, plain
    from mlpsweep.files import read_json

    file = artifacts / "search" / "summary.json"
    if not file.exists():
        return None
    summary, settings = read_json(file), flat(plain(trained))
    is_winner = all(settings.get(name) == value for name, value in summary["winner"]["settings"].items())
    return str(summary["study"]) if is_winner else None


def show(evaluation: "Evaluation") -> None:
    """Print the figures of each split, and what the model confuses most."""
    for name, metrics in evaluation.splits.items():
        sys.stdout.write(
            f"{name:<10}  accuracy {100 * metrics.accuracy:6.2f} %  loss {metrics.loss:.4f}  n = {metrics.n_samples}\n"
        )
    pairs = [f"{pair.first} and {pair.second} ({pair.count})" for pair in evaluation.confused_pairs[:3]]
    sys.stdout.write(f"most confused on test: {', '.join(pairs) or 'nothing'}\n")


DOOR = Door(module="pipeline.evaluate", text=__doc__, settings=EvaluateJob, config="evaluate", run=run)

if __name__ == "__main__":
    enter("pipeline.evaluate")

"""Measure a trained model on train, validation and test.

Reads model_dir and data/prepared/<name>; writes metrics.json, predictions.csv, the confusion matrix, the classification
report and misclassified.png into output_dir, and into the training's own run. With register=true the model becomes
the champion of MLflow's model registry. Exit code 3 if the data, the model and its config.yaml do not belong together.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.door import Context, Door, enter
from pipeline.settings import EvaluateJob
from pipeline.standing import shown

if TYPE_CHECKING:
    from mlpsweep.tracking.run import Run
    from mlpsweep.training.folder import TrainingFolder
    from mlpsweep.training.model import Model


def run(settings: EvaluateJob, context: Context) -> None:
    """Evaluate, write, track."""
    from mlpsweep.training.folder import TrainingFolder

    training = TrainingFolder(Path(settings.model_dir))
    model, trained = training.load()
    if "settings_digest" not in model.metadata:
        sys.stderr.write(
            f"note: {training.path}: made before models held the digest of their settings; taken at its word\n"
        )

    from mlpsweep.evaluation.folder import EvaluationFolder
    from mlpsweep.evaluation.metrics import evaluate_model
    from mlpsweep.figures.errors import draw_evaluation, evaluated
    from mlpsweep.figures.style import png_bytes
    from mlpsweep.figures.training import first_layer
    from mlpsweep.report.card import model_card
    from mlpsweep.tracking.lineage import run_name
    from mlpsweep.tracking.model import link_metrics
    from mlpsweep.tracking.store import open_store
    from mlpsweep.tracking.training_runs import log_split, run_of
    from pipeline.inputs import own_dataset

    dataset = own_dataset(model, trained, settings.paths, with_test=True)
    data, stands_in = dataset.manifest.dataset, bool(dataset.manifest.stands_in_for)
    store = open_store(settings.tracking, data, stands_in=stands_in, remedy="the same command")
    evaluation = evaluate_model(model, dataset)
    name, figures = run_name(trained), draw_evaluation(evaluation, dataset, run_name(trained))
    if dataset.manifest.holds_images:
        shape, title = dataset.manifest.image_shape, evaluated(evaluation, name)
        figures["first_layer"] = first_layer(model.params.weights[0], shape, title)
    named = settings.output_dir
    folder = EvaluationFolder(Path(named)) if named else EvaluationFolder.beside(training.path)
    folder.save(evaluation, {name: png_bytes(figure) for name, figure in figures.items()})
    with store:
        tracked = run_of(store, training, model, trained)
        log_split(tracked, "test", dataset.test, dataset, settings.paths.prepared)
        tracked.log_metrics(evaluation.final_metrics())
        link_metrics(tracked)
        tracked.log_files(folder.files, "evaluation")
        sys.stdout.write(f"{evaluation}\n")
        if settings.register:
            card = model_card(evaluation, dataset.manifest, model)
            sys.stdout.write(f"{register(tracked, training, model, card)}\n")
        sys.stdout.write(f"{shown(folder.path)}  MLflow run {tracked.run_id}\n")


def register(tracked: "Run", training: "TrainingFolder", model: "Model", card: str) -> str:
    """Make a model the champion of its data set; return a line that says whether it is."""
    from mlpsweep.tracking.registry import CHAMPION, make_champion
    from mlpsweep.tracking.training_runs import origin_tags

    dataset, wanted = model.metadata["dataset"], model.metadata.get("stands_in_for")
    if wanted:
        return f"not registered: {dataset} stands in for {wanted}"
    made = make_champion(tracked, training.weights, origin_tags(model), card)
    if made is None:
        return "not registered: the tracking store did not take it. When it is back, the same command does it"
    return f"{made} is the {CHAMPION}: models:/{made.split()[0]}@{CHAMPION}"


DOOR = Door(
    module="pipeline.evaluate",
    text=__doc__,
    settings=EvaluateJob,
    config="evaluate",
    run=run,
    writes_folder=True,
    examples=(
        "model_dir=artifacts/mnist/train/relu  # a model of the pipeline",
        "model_dir=outputs/mine output_dir=outputs/mine.figures  # into a folder of your own",
        "model_dir=outputs/mine register=true  # make it the champion",
    ),
)

if __name__ == "__main__":
    enter("pipeline.evaluate")

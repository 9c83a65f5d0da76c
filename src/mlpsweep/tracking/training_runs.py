"""Tracked runs of single trainings: what is logged of one, and how a folder's or an equal training's run is found.

The folder is the record and the run its copy; a search's trials have their runs in ``trial_runs``.
"""

from collections.abc import Mapping

from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import DataError
from mlpsweep.settings import TrainSettings
from mlpsweep.tracking import lineage
from mlpsweep.tracking.model import log_model
from mlpsweep.tracking.run import OUTPUTS, Run
from mlpsweep.tracking.store import Store
from mlpsweep.training.folder import TrainingFolder
from mlpsweep.training.model import Model
from mlpsweep.training.run import TrainingResult


def log_training(run: Run, folder: TrainingFolder, result: TrainingResult, settings: TrainSettings, dataset: Dataset,
                 source: str) -> None:  # fmt: skip
    """Log what a finished training has learned, from what, and its files.

    Parameters
    ----------
    run : Run
        Open; its epochs were logged as they came.
    folder : TrainingFolder
        Saved.
    result : TrainingResult
    settings : TrainSettings
        What it was trained with.
    dataset : Dataset
        What it was trained on.
    source : str
        Where the data lie.
    """
    manifest, model = dataset.manifest, result.model
    run.log_params(lineage.params(settings, model.n_parameters))
    run.log_dataset(manifest.dataset, manifest.digest, source, len(dataset.train), manifest.n_features)
    run.log_metrics({"samples_per_s": result.samples_per_s, "epoch_of_weights": result.epoch_of_weights})
    run.set_tags({"weights_hash": model.weights_hash})
    if run.log_files(folder.outputs):
        run.set_tags({OUTPUTS: "true"})
    log_model(run, folder.weights, manifest.n_features, manifest.n_classes)


def take_equal(store: Store, run_key: str, run: Run, folder: TrainingFolder) -> Run | None:
    """Take the outputs of a finished training with the same ``run_key``, if they are there and whole.

    Parameters
    ----------
    store : Store
    run_key : str
        Of the training that need not be done then.
    run : Run
        Gets a copy of params, histories and files.
    folder : TrainingFolder
        Gets the files; nothing is left in it if they are not whole.

    Returns
    -------
    Run or None
        The run they were taken from.
    """
    earlier = store.find_run({"run_key": run_key, OUTPUTS: "true"}, "FINISHED")
    if earlier is None:
        return None
    files = earlier.download(folder.path)
    try:
        model, _ = folder.load()
        is_whole = model.weights_hash == earlier.tags().get("weights_hash") and set(folder.outputs) <= set(files)
    except DataError:
        is_whole = False
    if not is_whole:
        for file in files:
            file.unlink()
        return None
    earlier.copy_into(run, files)
    return earlier


def run_of(store: Store, folder: TrainingFolder, model: Model, settings: TrainSettings) -> Run:
    """Return the run of a folder's training: by the id beside it, else by its run_key, else a new one, ``restored``."""
    record, key = folder.record(), str(model.metadata["run_key"])
    known = store.open_run(record.run_id) if record else None
    found = known or store.find_run({"run_key": key}, "FINISHED")
    if found:
        return found
    tags = {"run_key": key, "restored": "true", **lineage.origin()}
    params = lineage.params(settings, model.n_parameters)
    with store.start_run(lineage.run_name(settings), tags=tags, params=params) as restored:
        restored.log_files(file for file in folder.outputs if file.exists())
    return restored


def origin_tags(model: Model) -> Mapping[str, str]:
    """Return where a searched model comes from, as tags of its registered version: study and trial."""
    origin = model.metadata.get("origin") or {}
    return {name: str(origin[name]) for name in ("study", "trial") if origin.get(name) is not None}

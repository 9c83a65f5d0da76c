"""Tracked runs of single trainings: logging one, reusing an equal one, finding the run of a folder.

The folder is the record and the run its copy; ``trial_runs`` has the runs of a search's trials.
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
    """Log the settings, the data, the result and the files of a finished training.

    Parameters
    ----------
    run : Run
        Open run of the training, with all epochs logged.
    folder : TrainingFolder
        Folder with all outputs saved.
    result : TrainingResult
        Result of the training.
    settings : TrainSettings
        Settings of the training.
    dataset : Dataset
        Data of the training.
    source : str
        Folder of the prepared data.
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
    """Reuse the outputs of a finished training with the same ``run_key``, if the store holds them undamaged.

    Parameters
    ----------
    store : Store
    run_key : str
        Key of the training that would otherwise be run.
    run : Run
        Open run that receives parameters, histories and files.
    folder : TrainingFolder
        Folder that receives the files; damaged files are removed from it.

    Returns
    -------
    Run or None
        The reused run, or None if there is none to reuse.

    Raises
    ------
    StorageError
        If the store does not answer.
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
    """Return the run of a folder's training, found by the id beside the folder, or else by its ``run_key``.

    Where the store holds neither, a new run tagged ``restored`` is created from the folder.

    Raises
    ------
    DataFormatError
        If the record beside the folder is damaged.
    StorageError
        If the store does not answer.
    """
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
    """Return the study and the trial that a model comes from, as tags of its registered version."""
    origin = model.metadata.get("origin") or {}
    return {name: str(origin[name]) for name in ("study", "trial") if origin.get(name) is not None}

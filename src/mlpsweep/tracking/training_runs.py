"""Tracked runs of single trainings: what is logged of one, and how a folder's or an equal training's run is found.

The folder is the record and the run its copy; a search's trials have their runs in ``trial_runs``.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mlpsweep.data.dataset import Dataset, Split
from mlpsweep.errors import DataError
from mlpsweep.files import write_atomic
from mlpsweep.nn.network import n_parameters
from mlpsweep.settings import TrainSettings
from mlpsweep.tracking import lineage
from mlpsweep.tracking.model import send_links, send_model
from mlpsweep.tracking.run import OUTPUTS, Run
from mlpsweep.tracking.store import Store
from mlpsweep.training.folder import RunRecord, TrainingFolder
from mlpsweep.training.model import Model
from mlpsweep.training.run import TrainingResult
from mlpsweep.types import ImageArray

RECORD: Final = "run.json"
"""The run's file with machine, versions and hashes; of a trial, too."""


def log_start(run: Run, settings: TrainSettings, dataset: Dataset, source: str) -> None:
    """Log what a training starts with: its settings, and each split that it uses with its own rows and digest.

    Parameters
    ----------
    run : Run
        Just started.
    settings : TrainSettings
    dataset : Dataset
        As the training gets it; a test split only if the training is measured on it.
    source : str
        Folder of the prepared data.
    """
    manifest = dataset.manifest
    sizes = (manifest.n_features, *settings.hidden_sizes, manifest.n_classes)
    run.log_params(lineage.params(settings, n_parameters(sizes)))
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    for name, split in splits.items():
        log_split(run, name, split, dataset, source)


def log_split(run: Run, name: str, split: Split | None, dataset: Dataset, source: str) -> None:
    """Record one split as an input of a run, unless it has no rows."""
    if split is None or not len(split):
        return
    manifest = dataset.manifest
    digest = hashlib.sha256(f"{manifest.digest} {name} ".encode() + split.rows.tobytes()).hexdigest()
    profile = {"num_rows": len(split), "num_features": manifest.n_features, "sha256": digest, "data": manifest.digest}
    run.log_input(manifest.dataset, digest, name, profile, source)


def log_record(run: Run, folder: TrainingFolder, record: RunRecord) -> None:
    """Write what differs between equal trainings beside the folder, and store it with the run: one file for both."""
    folder.write_record(record)
    run.log_text(RECORD, json.dumps(record.told(), indent=2, sort_keys=True))


def log_training(run: Run, folder: TrainingFolder, result: TrainingResult, example: ImageArray | None = None) -> None:
    """Log what a finished training has learned, and its files.

    Parameters
    ----------
    run : Run
        Open; its epochs were logged as they came.
    folder : TrainingFolder
        Saved.
    result : TrainingResult
    example : ndarray of shape (n_samples, n_features) or None
        What the model takes, for its page.
    """
    model = result.model
    run.log_metrics({"samples_per_s": result.samples_per_s, "epoch_of_weights": result.epoch_of_weights})
    run.set_tags({"weights_hash": model.weights_hash})
    run.log_files(folder.outputs, tag=OUTPUTS)
    # A model is some 30 files: the store shall know the end before.
    run.handle.after_end += [lambda: send_model(run, folder.weights, model, example), lambda: send_links(run)]
    run.complete(folder)


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
        Folder that receives the files; it stays as it is unless all of them are there and whole.

    Returns
    -------
    Run or None
        The reused run, or None if there is none to reuse.

    Raises
    ------
    OSError
        If the folder cannot be written.
    StorageError
        If the store does not answer.
    """
    earlier = store.find_finished({"run_key": run_key, OUTPUTS: "true"})
    if earlier is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        # What is downloaded may be damaged, and the folder may hold files of the user: so it is judged elsewhere.
        taken = TrainingFolder(Path(scratch))
        earlier.download(taken.path)
        if not _is_whole(taken, earlier):
            return None
        for source, target in zip(taken.outputs, folder.outputs, strict=True):
            write_atomic(target, source.read_bytes())
    earlier.copy_into(run, folder.outputs)
    return earlier


def _is_whole(folder: TrainingFolder, run: Run) -> bool:
    """Return whether a folder holds every output of a run's training, undamaged."""
    try:
        model, _ = folder.load()
    except DataError:
        return False
    return model.weights_hash == run.tags().get("weights_hash") and all(file.is_file() for file in folder.outputs)


def run_of(store: Store, folder: TrainingFolder, model: Model, settings: TrainSettings) -> Run:
    """Return the run of a folder's training: by the id beside it, else by its run_key, else a new one, ``restored``."""
    record, key = folder.record(), str(model.metadata["run_key"])
    known = store.open_run(record.run_id) if record else None
    found = known or store.find_finished({"run_key": key})
    if found:
        found.handle.needs_check = True  # an earlier evaluation may have logged the same points
        return found
    tags = {"run_key": key, "restored": "true", **lineage.source("pipeline"), **lineage.origin()}
    params = lineage.params(settings, model.n_parameters)
    with store.start_run(lineage.run_name(settings), tags=tags, params=params) as restored:
        restored.log_files(file for file in folder.outputs if file.exists())
    return restored


def origin_tags(model: Model) -> Mapping[str, str]:
    """Return where a searched model comes from, as tags of its registered version: study and trial."""
    origin = model.metadata.get("origin") or {}
    return {name: str(origin[name]) for name in ("study", "trial") if origin.get(name) is not None}

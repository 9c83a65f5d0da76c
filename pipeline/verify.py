"""Prove a training by training it again from its own record, and comparing the weights bit for bit.

Reads model_dir and data/prepared/<name>; tags the run ``verified``. Exit code 5, with what differs, if the proof fails.
On other versions or another kind of processor bits are not promised: there the accuracies must agree within 0.5 points.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.door import Context, Door, enter
from pipeline.settings import VerifyJob

if TYPE_CHECKING:
    from mlpsweep.training.model import Model
    from mlpsweep.training.run import TrainingResult

TOLERANCE = 0.005


def run(settings: VerifyJob, context: Context) -> None:
    """Rebuild, compare, tag."""
    from mlpsweep.data.dataset import load_dataset
    from mlpsweep.errors import DataError, NoResultError
    from mlpsweep.tracking.store import open_store
    from mlpsweep.training.run import run_training
    from pipeline.evaluate import find_run, prepared_for, trained_model
    from pipeline.progress import TrainBar

    model_dir = Path(settings.model_dir)
    model, training = trained_model(model_dir)
    recorded = model_dir / "history.csv"
    if not recorded.exists():
        raise DataError(f"model_dir: {recorded} is missing. Name a folder that `python -m pipeline.train` wrote.")
    dataset = load_dataset(prepared_for(model, settings.paths), training.data, with_test=training.monitor == "test")
    store = open_store(settings.tracking, dataset.manifest.dataset)
    with TrainBar(f"verify {model_dir}", training.batch_size) as bar:
        result = run_training(training, dataset, on_progress=bar.update)
    is_same = result.model.weights_hash == model.weights_hash
    same_key = result.model.metadata["run_key"] == model.metadata["run_key"]
    faults = list(differences(model, result, recorded.read_text(), same_key))
    proof = "false" if faults else "bits" if is_same else "tolerance"
    find_run(store, model_dir, model, training).set_tags({"verified": proof})
    if faults:
        raise NoResultError(*(f"{model_dir}: {fault}" for fault in faults))
    how = f"weights {model.weights_hash[:16]}... are equal" if is_same else f"within {100 * TOLERANCE} points"
    sys.stdout.write(f"verified: {model_dir}: trained again from its config.yaml, {how}\n")


def differences(model: "Model", result: "TrainingResult", recorded: str, same_key: bool) -> Iterator[str]:
    """Yield what differs between a model with its recorded history and the training just done."""
    import csv

    import numpy as np

    from mlpsweep.metric import metric_named

    rebuilt, rows = result.model, list(csv.DictReader(recorded.splitlines()))
    for what, old, new in (
        ("layer sizes", model.params.layer_sizes, rebuilt.params.layer_sizes),
        ("activations", model.activations, rebuilt.activations),
        ("data", model.metadata["data_digest"], rebuilt.metadata["data_digest"]),
        ("number of epochs", len(rows), len(result.history)),
    ):
        if old != new:
            yield f"{what}: {old} in the record, {new} rebuilt"
    if same_key and model.weights_hash != rebuilt.weights_hash:
        yield f"weights {model.weights_hash[:16]}... are recorded, {rebuilt.weights_hash[:16]}... were rebuilt"
        if model.params.layer_sizes == rebuilt.params.layer_sizes:
            gap = np.abs(model.params.flat - rebuilt.params.flat)
            yield f"{np.count_nonzero(gap)} of {gap.size} parameters differ, by {gap.max():.3g} at most"
    for line, again in zip(recorded.splitlines(), result.history.to_csv().splitlines(), strict=False):
        if same_key and line != again:
            yield f"history.csv first differs in {line!r}; rebuilt {again!r}"
            break
    for name, value in result.history[-1].metrics().items() if rows and len(result.history) else ():
        if metric_named(name).is_share and abs(value - float(rows[-1].get(name) or value)) > TOLERANCE:
            yield f"{name} is {rows[-1][name]} in the record and {value!r} rebuilt"


DOOR = Door(module="pipeline.verify", text=__doc__, settings=VerifyJob, config="verify", run=run)

if __name__ == "__main__":
    enter("pipeline.verify")

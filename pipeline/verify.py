"""Prove a training by training it again from its own record, and comparing the weights bit for bit.

Reads model_dir and data/prepared/<name>; tags the run ``verified``. Exit codes: 3 if the data, the model and its
config.yaml do not belong together, 5, with what differs, if the proof fails.
On other versions or another kind of processor bits are not promised: there the accuracies must agree within 0.5 points.
"""

import sys
from pathlib import Path

from pipeline.door import Context, Door, enter
from pipeline.settings import VerifyJob
from pipeline.standing import shown


def run(settings: VerifyJob, context: Context) -> None:
    """Rebuild, compare, tag."""
    from mlpsweep.errors import NoResultError
    from mlpsweep.tracking.store import open_store
    from mlpsweep.tracking.training_runs import run_of
    from mlpsweep.training.folder import TrainingFolder
    from mlpsweep.training.proof import TOLERANCE, differences
    from mlpsweep.training.run import run_training
    from pipeline.inputs import own_dataset
    from pipeline.progress import TrainBar

    folder = TrainingFolder(Path(settings.model_dir))
    model, training = folder.load()
    folder.history()  # a damaged file is reported before the training, which may take an hour
    dataset = own_dataset(model, training, settings.paths, with_test=training.monitor == "test")
    manifest = dataset.manifest
    # A tag alone is written: that is right in a copy of a project, too.
    store = open_store(settings.tracking, manifest.dataset, stands_in=bool(manifest.stands_in_for), adds_files=False)
    with TrainBar(f"verify {shown(folder.path)}", training.total_epochs, training.batch_size) as bar:
        result = run_training(training, dataset, on_epoch=bar.epoch, on_progress=bar.update)
    is_same = result.model.weights_hash == model.weights_hash
    faults = list(differences(folder, model, result))
    proof = "false" if faults else "bits" if is_same else "tolerance"
    with store:
        run_of(store, folder, model, training).set_tags({"verified": proof})
    if faults:
        raise NoResultError(*(f"{folder.path}: {fault}" for fault in faults))
    how = (
        f"weights {model.weights_hash[:16]}... are equal"
        if is_same
        else f"accuracies agree within {100 * TOLERANCE} points"
    )
    sys.stdout.write(f"verified: {shown(folder.path)}: trained again from its config.yaml, {how}\n")


DOOR = Door(
    module="pipeline.verify",
    text=__doc__,
    settings=VerifyJob,
    config="verify",
    run=run,
    examples=(
        "model_dir=artifacts/mnist/train/relu  # a model of the pipeline",
        "model_dir=outputs/mine  # a model of your own",
        "model_dir=outputs/mine tracking.uri=http://127.0.0.1:5000  # tag its run on a server",
    ),
)

if __name__ == "__main__":
    enter("pipeline.verify")

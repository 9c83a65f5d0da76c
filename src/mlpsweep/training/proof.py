"""The proof of a training by a repetition: the differences between the two."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from mlpsweep.metric import metric_named
from mlpsweep.training.folder import TrainingFolder
from mlpsweep.training.model import Model
from mlpsweep.training.run import TrainingResult

TOLERANCE: Final = 0.005
"""Largest difference of accuracies (0 .. 1) on other versions or another processor, where bits are not promised."""


def differences(folder: TrainingFolder, model: Model, repeated: TrainingResult) -> Iterator[str]:
    """Yield a message for each difference between a recorded training and its repetition.

    Parameters
    ----------
    folder : TrainingFolder
        Folder of the recorded training.
    model : Model
        Model of the recorded training.
    repeated : TrainingResult
        Result of training again with the recorded settings, on the same data. If the two ``run_key`` agree, so must
        the bits.

    Raises
    ------
    DataError
        If the recorded history is missing or damaged.
    """
    rebuilt, rows, text = repeated.model, folder.history(), folder.history_text()
    same_key = rebuilt.metadata["run_key"] == model.metadata["run_key"]
    for what, old, new in (
        ("layer sizes", model.params.layer_sizes, rebuilt.params.layer_sizes),
        ("activations", model.activations, rebuilt.activations),
        ("data", model.metadata["data_digest"], rebuilt.metadata["data_digest"]),
        ("number of epochs", len(rows), len(repeated.history)),
    ):
        if old != new:
            yield f"{what}: {old} in the record, {new} rebuilt"
    if same_key and model.weights_hash != rebuilt.weights_hash:
        yield from _weights(model, rebuilt)
    for line, again in zip(text.splitlines(), repeated.history.to_csv().splitlines(), strict=False):
        if same_key and line != again:
            yield f"the history first differs in {line!r}; rebuilt {again!r}"
            break
    for name, value in repeated.history[-1].metrics().items() if rows and len(repeated.history) else ():
        recorded = rows[-1].get(name)
        if metric_named(name).is_share and recorded is not None and abs(value - recorded) > TOLERANCE:
            yield f"{name} is {recorded!r} in the record and {value!r} rebuilt"


def _weights(model: Model, rebuilt: Model) -> Iterator[str]:
    yield f"weights {model.weights_hash[:16]}... are recorded, {rebuilt.weights_hash[:16]}... were rebuilt"
    if model.params.layer_sizes == rebuilt.params.layer_sizes:
        gap = np.abs(model.params.flat - rebuilt.params.flat)
        yield f"{np.count_nonzero(gap)} of {gap.size} parameters differ, by {gap.max():.3g} at most"

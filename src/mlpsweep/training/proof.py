"""The proof of a training by training it again: what differs between the record and the repetition; nothing is run."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from mlpsweep.metric import metric_named
from mlpsweep.training.folder import TrainingFolder
from mlpsweep.training.model import Model
from mlpsweep.training.run import TrainingResult

TOLERANCE: Final = 0.005
"""How far accuracies (0 .. 1) may differ where bits are not promised: on other versions, or another processor."""


def differences(folder: TrainingFolder, model: Model, repeated: TrainingResult) -> Iterator[str]:
    """Yield what differs between a recorded training and its repetition.

    Parameters
    ----------
    folder : TrainingFolder
        The record.
    model : Model
        Its model.
    repeated : TrainingResult
        Of the record's settings, on the same data. Bits must agree where the ``run_key`` does.

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

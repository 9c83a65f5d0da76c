"""The records of a training, one per epoch and one every few updates, and their table."""

import csv
import dataclasses
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, overload

COLUMNS: Final = (
    "train/loss",
    "train/penalty",
    "train/accuracy",
    "train/cost",
    "validation/loss",
    "validation/accuracy",
    "test/loss",
    "test/accuracy",
    "learning_rate",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Loss (mean cross-entropy, nats) and accuracy (0 .. 1) of the monitored split; None for the other split."""

    validation_loss: float | None = None
    validation_accuracy: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None

    def measured(self) -> dict[str, float]:
        """Return the measured values by metric, such as ``validation/loss``."""
        named = {field.name.replace("_", "/"): getattr(self, field.name) for field in dataclasses.fields(Measured)}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord(Measured):
    """The figures of one batch, before its update.

    Parameters
    ----------
    update : int
        Number of the update, from 1, over the whole training.
    loss, accuracy : float
        Mean cross-entropy and share of right decisions of the batch's rows.
    cost : float or None
        One-vs-rest cost, with ``report_cost``.

    Notes
    -----
    With ``monitor_every``, the monitored split is measured *after* the update.
    """

    update: int
    loss: float
    accuracy: float
    cost: float | None = None

    def metrics(self) -> dict[str, float]:
        """Return the metrics by name: ``batch/loss``, ``batch/accuracy`` and those of the monitored split."""
        cost = {} if self.cost is None else {"batch/cost": self.cost}
        return {"batch/loss": self.loss, "batch/accuracy": self.accuracy, **cost, **self.measured()}


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord(Measured):
    """The figures of one epoch.

    Parameters
    ----------
    epoch : int
        Number of the epoch, from 1.
    update : int
        Number of updates since the training began.
    learning_rate : float
        Learning rate of the epoch's last update.
    train_loss, train_penalty, train_accuracy, train_cost : float
        Means over the epoch's batches, each before its update, weighted by rows; the cost with ``report_cost`` only.
    batches : tuple of BatchRecord
        Records of single batches, every ``log_every`` and every ``monitor_every`` updates.
    seconds : float
        Wall time of the epoch; not compared.
    samples_per_s : float
        Training rows per second, without the time of measuring; not compared.
    """

    epoch: int
    update: int
    learning_rate: float
    train_loss: float
    train_penalty: float
    train_accuracy: float
    train_cost: float | None = None
    batches: tuple[BatchRecord, ...] = ()
    seconds: float = field(default=0.0, compare=False)
    samples_per_s: float = field(default=0.0, compare=False)

    def metrics(self) -> dict[str, float]:
        """Return the metrics by name, in the order of :data:`COLUMNS`; splits that were not measured are absent."""
        values = {
            "train/loss": self.train_loss,
            "train/penalty": self.train_penalty,
            "train/accuracy": self.train_accuracy,
            **({} if self.train_cost is None else {"train/cost": self.train_cost}),
            "learning_rate": self.learning_rate,
            **self.measured(),
        }
        return {name: values[name] for name in COLUMNS if name in values}

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain values that JSON keeps exactly."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "EpochRecord":
        """Return the record of :meth:`to_dict`."""
        return cls(**{**values, "batches": tuple(BatchRecord(**batch) for batch in values["batches"])})


@dataclass(frozen=True, slots=True)
class History:
    """The epochs of a training, in order."""

    records: tuple[EpochRecord, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[EpochRecord]:
        return iter(self.records)

    @overload
    def __getitem__(self, index: int) -> EpochRecord: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[EpochRecord, ...]: ...
    def __getitem__(self, index: int | slice) -> EpochRecord | tuple[EpochRecord, ...]:
        return self.records[index]

    def to_csv(self) -> str:
        """Return one line per epoch, floats by ``repr`` and without times, so that equal histories are equal bytes."""
        present = [name for name in COLUMNS if any(name in record.metrics() for record in self.records)]
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["epoch", "update", *present])
        for record in self.records:
            metrics = record.metrics()
            table.writerow([record.epoch, record.update, *(repr(metrics[name]) for name in present)])
        return text.getvalue()

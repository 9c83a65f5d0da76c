"""The records of a training, one per epoch and one every few updates, and their table."""

import csv
import dataclasses
import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, overload

MEASURES: Final = ("loss", "accuracy", "balanced_accuracy", "macro_f1")
"""What is measured of the monitored split: the fields of :class:`mlpsweep.training.measure.Measures`."""
COLUMNS: Final = (
    "train/loss",
    "train/penalty",
    "train/accuracy",
    "train/cost",
    *(f"{split}/{name}" for split in ("validation", "test") for name in MEASURES),
    "learning_rate",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Loss (mean cross-entropy, nats) and shares (0 .. 1) of the monitored split; None for the other split."""

    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_balanced_accuracy: float | None = None
    validation_macro_f1: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_balanced_accuracy: float | None = None
    test_macro_f1: float | None = None

    def measured(self) -> dict[str, float]:
        """Return the measured values by metric, such as ``validation/loss``."""
        named = {field.name.replace("_", "/", 1): getattr(self, field.name) for field in dataclasses.fields(Measured)}
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
        """Return the metrics by name: ``batch/loss``, ``batch/accuracy``, ``batch/validation/loss`` if measured."""
        cost = {} if self.cost is None else {"batch/cost": self.cost}
        measured = {f"batch/{name}": value for name, value in self.measured().items()}
        return {"batch/loss": self.loss, "batch/accuracy": self.accuracy, **cost, **measured}


@dataclass(frozen=True, kw_only=True)
class EpochRecord(Measured):
    """The figures of one epoch.

    With ``averaging``, the monitored split is measured with the averaged weights in every epoch but the last.

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

    def measured_accuracy(self) -> tuple[str, float]:
        """Return the monitored split's name and accuracy; those of the training rows where none is monitored."""
        accuracies = {"train": self.train_accuracy, "validation": self.validation_accuracy, "test": self.test_accuracy}
        return [(name, value) for name, value in accuracies.items() if value is not None][-1]

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain values that JSON keeps exactly; not to be modified."""
        return self._plain

    # Each checkpoint asks all records; without this a training of many short epochs would take quadratic time.
    @functools.cached_property
    def _plain(self) -> dict[str, Any]:
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
        """Return one line per epoch: every float by ``repr``, so that equal histories are equal bytes; no times."""
        return _csv(("epoch", "update"), [({"epoch": r.epoch, "update": r.update}, r.metrics()) for r in self.records])

    def batches_csv(self) -> str:
        """Return one line per recorded batch, as :meth:`to_csv`."""
        batches = [batch for record in self.records for batch in record.batches]
        return _csv(("update",), [({"update": batch.update}, batch.metrics()) for batch in batches])


def _csv(counters: tuple[str, ...], rows: list[tuple[dict[str, int], dict[str, float]]]) -> str:
    """Return counters, then every metric that a row has, as a table; a value that is not there is an empty cell."""
    present = list(dict.fromkeys(name for _, metrics in rows for name in metrics))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*counters, *present])
    for numbers, metrics in rows:
        cells = (repr(metrics[name]) if name in metrics else "" for name in present)
        table.writerow([*(numbers[name] for name in counters), *cells])
    return text.getvalue()

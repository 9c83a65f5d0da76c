"""The folder of one training, which is its record (ADR 6): writing, reading and checking its files.

Only this module knows the names of the files. People may edit or damage a file, so each one is checked as it is read.
"""

import csv
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from mlpsweep import config, rules
from mlpsweep.errors import DataError, DataFormatError, SettingsError, quoted
from mlpsweep.files import beside, read_json, read_text, write_atomic, write_json
from mlpsweep.settings import TrainSettings
from mlpsweep.tables import finite, is_number
from mlpsweep.training.history import History
from mlpsweep.training.identity import settings_digest
from mlpsweep.training.model import Model
from mlpsweep.training.run import TrainingResult

REMEDY: Final = "Name a folder that `python -m pipeline.train` wrote, or train it again."


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_origin(value: Any) -> bool:
    return (
        isinstance(value, dict) and isinstance(value.get("study"), str) and isinstance(value.get("trial"), int | None)
    )


TOLD: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "dataset": rules.NAME.accepts,
        "stands_in_for": rules.optional(rules.NAME).accepts,
        "data_digest": _is_digest,
        "run_key": _is_digest,
        "settings_digest": lambda value: value is None or _is_digest(value),
        "origin": lambda value: value is None or _is_origin(value),
    }
)
"""What a model says of itself; one of earlier times says nothing of its settings."""


@dataclass(frozen=True)
class RunRecord:
    """The circumstances of a training, which differ between equal trainings: ``<folder>.run.json``, beside its folder.

    Parameters
    ----------
    run_id : str
        Id of the tracked run; empty if the store could not create one.
    name : str
        Name of the run for a person to read.
    made_with : mapping of str to str
        Versions, machine and commit.
    seconds : float or None
        Wall time of the training; None while it runs.
    metrics : mapping of str to float
        Metrics of the epoch whose weights the model has.
    reused_from : str or None
        Id of the run whose outputs were reused.
    """

    run_id: str
    name: str
    made_with: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    reused_from: str | None = None

    def told(self) -> dict[str, Any]:
        """Return the values that are known, as JSON values."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None and value != {}}

    @classmethod
    def parse(cls, values: Any) -> Self:
        """Return the record that a JSON value holds.

        Raises
        ------
        ValueError
            If a part has another type, or ``run_id`` is missing.
        """
        if not isinstance(values, dict):
            raise ValueError(f"{type(values).__name__} instead of a mapping")
        known = {item.name: values[item.name] for item in dataclasses.fields(cls) if item.name in values}
        record = cls(**{"run_id": None, "name": "", **known})
        kinds = {"run_id": str, "name": str, "made_with": dict, "seconds": float | int | None, "metrics": dict}
        for name, kind in {**kinds, "reused_from": str | None}.items():
            if not isinstance(getattr(record, name), kind):
                raise ValueError(f"{name} is {getattr(record, name)!r}")
        if strange := [name for name, value in record.metrics.items() if not is_number(value)]:
            raise ValueError(f"metrics: {', '.join(strange)} is no number")
        return record


@dataclass(frozen=True)
class TrainingFolder:
    """Weights, history, settings and curves of one training; equal trainings write equal bytes.

    Parameters
    ----------
    path : Path
        The folder; it may be missing until something is saved.
    """

    path: Path

    @classmethod
    def below(cls, folder: Path) -> Iterator[Self]:
        """Yield the folders below this one that hold a model, in order."""
        for weights in sorted(folder.rglob(cls(folder).weights.name)):
            yield cls(weights.parent)

    @property
    def weights(self) -> Path:
        """Path of the model's file."""
        return self.path / "model.npz"

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Paths of all files that a finished training leaves."""
        return (self.weights, self._history, self._batches, self._settings, self.path / "curves.png")

    @property
    def _history(self) -> Path:
        return self.path / "history.csv"

    @property
    def _batches(self) -> Path:
        return self.path / "batches.csv"

    @property
    def _settings(self) -> Path:
        return self.path / "config.yaml"

    @property
    def record_file(self) -> Path:
        """Path of what is known of the run, beside the folder: it differs between equal trainings."""
        return beside(self.path, ".run.json")

    def save(self, result: TrainingResult, settings: TrainSettings, curves: bytes) -> None:
        """Write all outputs, each whole or not at all.

        Parameters
        ----------
        result : TrainingResult
            Result of the training.
        settings : TrainSettings
            Settings of the training.
        curves : bytes
            Figure of the history, PNG.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        result.model.save(self.weights)
        self.save_history(result.history)
        write_atomic(self._settings, config.to_yaml(settings).encode())
        write_atomic(self.path / "curves.png", curves)

    def save_history(self, history: History) -> None:
        """Write epochs and batches alone, which is all that a trial of a search keeps."""
        write_atomic(self._history, history.to_csv().encode())
        write_atomic(self._batches, history.batches_csv().encode())

    def histories(self) -> list[Path]:
        """Return the files of epochs and batches that are there."""
        return [path for path in (self._history, self._batches) if path.exists()]

    def written_ms(self) -> int:
        """Return when the history was written, POSIX time in milliseconds; 0 if it is not there."""
        return int(1000 * self._history.stat().st_mtime) if self._history.exists() else 0

    def load(self) -> tuple[Model, TrainSettings]:
        """Return the model and its settings.

        A model of an earlier version, which holds no digest of its settings, is not checked against them.

        Raises
        ------
        DataError
            If a file is missing or damaged, or the two files do not belong together.
        """
        model, settings = Model.load(self.weights), self.settings()
        told = model.metadata
        if lost := [name for name, fits in TOLD.items() if not fits(told.get(name))]:
            shown = ", ".join(f"{name} {quoted(told.get(name))}" for name in lost)
            raise DataFormatError(f"{self.weights}: the model says {shown}, which no training wrote. {REMEDY}")
        if told["dataset"] != settings.data.name:
            raise DataError(
                f"{self._settings}: of {settings.data.name}, and {self.weights.name} is of {told['dataset']}; expected "
                f"a folder whose files belong together. {REMEDY}"
            )
        stated = model.metadata.get("settings_digest")
        if stated not in (None, settings_digest(settings)):
            raise DataError(
                f"{self._settings}: not what {self.weights.name} was trained with (digest "
                f"{settings_digest(settings)[:8]}, the model says {str(stated)[:8]}); expected a folder whose files "
                f"belong together. Undo the edit. {REMEDY}"
            )
        return model, settings

    def settings(self) -> TrainSettings:
        """Return the settings of the training.

        Raises
        ------
        DataError
            If the file is missing.
        DataFormatError
            If the file holds no settings of a training.
        """
        text = read_text(self._settings, REMEDY)
        try:
            return TrainSettings.build(config.read_yaml(text, "the text"))
        except SettingsError as error:
            first, n_more = error.messages[0].rstrip("."), len(error.messages) - 1
            more = f" and {n_more} more" if n_more else ""
            what = f"not the settings of a training ({first}{more})"
            raise DataFormatError(f"{self._settings}: {what}. {REMEDY}") from error

    def history(self) -> tuple[Mapping[str, float | None], ...]:
        """Return one mapping per epoch: column to number, or None where nothing was measured.

        Raises
        ------
        DataError
            If the file is missing.
        DataFormatError
            If the file is not a table of epochs.
        """
        return self._table(self._history, self.history_text(), "epoch")

    def batches(self) -> tuple[Mapping[str, float | None], ...]:
        """Return one mapping per recorded batch, as :meth:`history`; none for a folder of earlier times."""
        text = read_text(self._batches, REMEDY) if self._batches.exists() else "update"
        return self._table(self._batches, text, "update")

    @staticmethod
    def _table(path: Path, text: str, counter: str) -> tuple[Mapping[str, float | None], ...]:
        lines = csv.DictReader(text.splitlines())
        try:
            if counter not in (lines.fieldnames or ()):
                raise ValueError(f"it has no column {counter}")
            rows = tuple({key: finite(cell) if cell else None for key, cell in line.items()} for line in lines)
            if any(row[counter] is None for row in rows):
                raise ValueError(f"a row has no {counter}")
        except (ValueError, TypeError, AttributeError, csv.Error) as error:
            raise DataFormatError(f"{path}: not a table of a training's {counter}s ({error}). {REMEDY}") from error
        return rows

    def history_text(self) -> str:
        """Return the text of the history's file.

        Raises
        ------
        DataError
            If the file is missing.
        """
        return read_text(self._history, REMEDY)

    def record(self) -> RunRecord | None:
        """Return the record beside the folder, or None if there is none.

        Raises
        ------
        DataFormatError
            If the file is not what :meth:`write_record` writes.
        """
        if not self.record_file.exists():
            return None
        remedy = "Delete it: the run is found by its run_key then."
        try:
            return RunRecord.parse(read_json(self.record_file, remedy))
        except ValueError as error:
            if isinstance(error, DataError):
                raise
            raise DataFormatError(f"{self.record_file}: not the record of a run ({error}). {remedy}") from error

    def write_record(self, record: RunRecord) -> None:
        """Write the record beside the folder; unknown values are left out."""
        write_json(self.record_file, record.told())

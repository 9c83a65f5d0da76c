"""What a search asks of others: to train, to score, to record, to look up; a search knows no data and no tracker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from mlpsweep.settings import TrainSettings
from mlpsweep.training.history import EpochRecord
from mlpsweep.training.model import Model
from mlpsweep.training.run import TrainingResult
from mlpsweep.types import FloatArray

Status = Literal["complete", "pruned", "failed", "interrupted", "paused"]


class OpenRecord(Protocol):
    """The record of one training, open."""

    def log_epoch(self, record: EpochRecord) -> None:
        """Record an epoch; one that is already there is passed over."""

    def close(self, status: Status, reason: str | None, facts: Mapping[str, Any]) -> None:
        """End the record; it may be opened again if the training is continued."""

    def leave(self) -> None:
        """Write nothing more: another worker has the training, and its record."""


@dataclass(frozen=True)
class ReusableResult:
    """A finished training that an equal one need not repeat.

    Parameters
    ----------
    source : str
        Where it was found, for a person: ``trial 7``, or a run.
    value : float
        The study's metric.
    facts : mapping
        ``validation/loss``, ``weights_hash`` and ``epoch_of_weights``.
    values : mapping
        The metric by epoch. They are reported and judged as if trained, so that reuse changes no other trial.
    """

    source: str
    value: float
    facts: Mapping[str, Any]
    values: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Services:
    """How to train, score, identify, record and look up a configuration.

    Parameters
    ----------
    train : callable
        Trains one configuration, as :func:`~mlpsweep.training.run.run_training` does: it takes the settings,
        ``on_epoch``, ``checkpoints`` and, of a trial that is looked at within its first epoch, ``look``; it continues
        from the checkpoints, and lets exceptions of the callbacks pass.
    score : callable
        Returns a model's score on each validation row, higher is better: an array of shape (n_rows,).
    run_key : callable
        Returns what two equal trainings share.
    open_trial : callable
        Opens the record of a trial by its number, its settings, its folder and what says whether the trial is still
        this worker's, or nobody's: a new record, or the one that the trial already has.
    open_finalist : callable
        Opens the record of a finalist's training by its trial, the place of its seed, its ``run_key``, and the rest as
        ``open_trial``.
    find : callable
        Returns a finished training outside the study by its ``run_key``, or None.
    notice : callable
        Takes a line for the user.
    """

    train: Callable[..., TrainingResult]
    score: Callable[[Model], FloatArray]
    run_key: Callable[[TrainSettings], str]
    open_trial: Callable[[int, TrainSettings, Path, Callable[[], bool]], OpenRecord]
    open_finalist: Callable[[int, int, str, TrainSettings, Path, Callable[[], bool]], OpenRecord]
    find: Callable[[str], ReusableResult | None] = lambda run_key: None
    notice: Callable[[str], object] = lambda line: None

"""One tracked run: logging into it, reading it, ending it."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from mlpsweep.tracking.breaker import CircuitBreaker, answered

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlpsweep.training.history import EpochRecord

Status = Literal["FINISHED", "FAILED", "KILLED"]
REASON = "reason"
# Tag of a run that holds all files of its training.
OUTPUTS = "outputs"
# The store takes at most 1,000 metrics in one request.
MAX_BATCH = 1000
# Least seconds between two requests for metrics of epochs: a request takes some 15 ms.
PAUSE_S = 1.0

Point = tuple[str, float, int, int]
"""Name, value, step, and POSIX time in milliseconds."""


@dataclass
class Waiting:
    """Points of a run that the next request sends.

    Parameters
    ----------
    points : list of Point
        Unsent points.
    sent_at : float
        Time of the last request, in seconds of ``time.monotonic``.
    """

    points: list[Point] = field(default_factory=list)
    sent_at: float = -PAUSE_S


@dataclass(frozen=True)
class Run:
    """A run in an open store; as a context manager it ends FINISHED, KILLED or FAILED, as the block ended.

    Writing goes through ``breaker``, so a failing store stops nothing; reading raises ``StorageError``.

    Parameters
    ----------
    client : MlflowClient
        Client of the store.
    run_id : str
        Id of the run; empty for a run that the store could not create, which records nothing.
    breaker : CircuitBreaker
        Circuit breaker that all runs of the store share.
    waiting : Waiting
        Points that were not sent yet.
    """

    client: "MlflowClient"
    run_id: str
    breaker: CircuitBreaker
    waiting: Waiting = field(default_factory=Waiting, repr=False, compare=False)

    def log_epoch(self, record: "EpochRecord") -> None:
        """Log the metrics of an epoch and of its batches; the step is the epoch, or the update.

        Metrics that come within a second of the last request wait for the next epoch, or for the run's end.
        """
        self._collect((name, value, record.epoch) for name, value in record.metrics().items())
        for batch in record.batches:
            self._collect((name, value, batch.update) for name, value in batch.metrics().items())
        if time.monotonic() - self.waiting.sent_at >= PAUSE_S:
            self._send()

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log single values at a step."""
        self._log((name, value, step) for name, value in metrics.items())

    def _log(self, points: Iterable[tuple[str, float, int]]) -> None:
        self._collect(points)
        self._send()

    def _collect(self, points: Iterable[tuple[str, float, int]]) -> None:
        now = int(time.time() * 1000)
        self.waiting.points += [(name, float(value), step, now) for name, value, step in points]

    def _send(self) -> None:
        from mlflow.entities import Metric

        points, self.waiting.points = self.waiting.points, []
        for start in range(0, len(points), MAX_BATCH):
            chunk = [Metric(name, value, at, step) for name, value, step, at in points[start : start + MAX_BATCH]]
            self._write(self.client.log_batch, metrics=chunk)
        self.waiting.sent_at = time.monotonic()

    def _write(self, method: Callable[..., object], *values: Any, is_end: bool = False, **named: Any) -> bool:
        return bool(self.run_id) and self.breaker.write(lambda: method(self.run_id, *values, **named), is_end=is_end)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; a parameter once logged keeps its value."""
        from mlflow.entities import Param

        self._write(self.client.log_batch, params=[Param(name, str(value)) for name, value in params.items()])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; an older value of the same name is replaced."""
        from mlflow.entities import RunTag

        self._write(self.client.log_batch, tags=[RunTag(name, value) for name, value in tags.items()])

    def log_files(self, files: Iterable[Path], folder: str | None = None) -> bool:
        """Store copies of files with the run; return whether all were stored."""
        return all([self._write(self.client.log_artifact, str(file), folder) for file in files])

    def log_dataset(self, name: str, digest: str, source: str, n_rows: int, n_features: int) -> None:
        """Record which data the run learned from.

        Parameters
        ----------
        name : str
            Name of the data set.
        digest : str
            SHA-256 of the prepared arrays.
        source : str
            Folder of the prepared arrays.
        n_rows : int
            Number of training rows.
        n_features : int
            Pixels of an image.
        """
        import json

        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=digest[:32],
            source_type="local",
            source=json.dumps({"uri": source}),
            profile=json.dumps({"num_rows": n_rows, "num_features": n_features, "sha256": digest}),
        )
        self._write(self.client.log_inputs, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run as the block ended: FINISHED, KILLED by a signal, or FAILED with the reason."""
        if error is None:
            self.end("FINISHED")
        elif isinstance(error, KeyboardInterrupt):
            self.end("KILLED", "interrupted")
        else:
            self.end("FAILED", f"{type(error).__name__}: {error}")

    def metrics(self) -> dict[str, float]:
        """Return the last value of each metric.

        Raises
        ------
        StorageError
            If the store does not answer; so do all methods that read.
        """
        with answered(self.breaker.where):
            return dict(self.client.get_run(self.run_id).data.metrics)

    def tags(self) -> dict[str, str]:
        """Return the tags of the run."""
        with answered(self.breaker.where):
            return dict(self.client.get_run(self.run_id).data.tags)

    def download(self, folder: Path) -> list[Path]:
        """Download the files of the top level into ``folder`` and return their paths; missing files are left out."""
        from mlflow.exceptions import MlflowException

        folder.mkdir(parents=True, exist_ok=True)
        taken: list[Path] = []
        with answered(self.breaker.where):
            for file in self.client.list_artifacts(self.run_id):
                with contextlib.suppress(MlflowException, FileNotFoundError):
                    taken += (
                        []
                        if file.is_dir
                        else [Path(self.client.download_artifacts(self.run_id, file.path, str(folder)))]
                    )
        return taken

    def copy_into(self, other: "Run", files: Iterable[Path]) -> None:
        """Copy the parameters, the histories and the downloaded ``files`` of this run into ``other``, and tag it."""
        with answered(self.breaker.where):
            known = self.client.get_run(self.run_id).data
            other.log_params(known.params)
            for name in known.metrics:
                points = self.client.get_metric_history(self.run_id, name)
                other._collect((name, point.value, point.step) for point in points)
        other.set_tags({"weights_hash": known.tags["weights_hash"], "reused_from": self.run_id})
        if other.log_files(files):
            other.set_tags({OUTPUTS: "true"})

    def reopen(self) -> None:
        """Set an ended run RUNNING again."""
        with answered(self.breaker.where):
            self.client.update_run(self.run_id, status="RUNNING")
            if REASON in self.client.get_run(self.run_id).data.tags:
                self.client.delete_tag(self.run_id, REASON)

    def last_step(self, metric: str) -> int:
        """Return the last step at which a metric was logged, or 0."""
        return max((step for step, _ in self._history(metric)), default=0)

    def value_at(self, metric: str, step: int) -> float | None:
        """Return a metric's value at a step, or None if it was not logged there."""
        return dict(self._history(metric)).get(step)

    def _history(self, metric: str) -> list[tuple[int, float]]:
        with answered(self.breaker.where):
            points = self.client.get_metric_history(self.run_id, metric)
        return [(point.step, float(point.value)) for point in points]

    def end(self, status: Status, reason: str | None = None) -> None:
        """Close the run; ``reason`` tells why it is not FINISHED."""
        self._send()
        if reason:
            self.set_tags({REASON: reason[:5000]})
        self._write(self.client.set_terminated, status, is_end=True)

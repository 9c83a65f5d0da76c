"""One tracked run: what is logged into it and how it ends."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from mlpsweep.tracking.mirror import Mirror, answered

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlpsweep.training.history import EpochRecord

Status = Literal["FINISHED", "FAILED", "KILLED"]
REASON = "reason"
# Tags a run that has all files of its training.
OUTPUTS = "outputs"
# The store takes at most 1,000 metrics in one request.
MAX_BATCH = 1000
# Epochs that end within so many seconds of the last request wait for the next: a request takes some 15 ms.
PAUSE_S = 1.0

Point = tuple[str, float, int, int]
"""Name, value, step, and POSIX time in milliseconds."""


@dataclass
class Waiting:
    """Points of a run that go out together."""

    points: list[Point] = field(default_factory=list)
    sent_at: float = -PAUSE_S


@dataclass(frozen=True)
class Run:
    """A run in an open store; as a context manager it ends with the status that the block deserves.

    What is logged goes through ``mirror``, so a store that fails stops nothing; what is asked raises ``StorageError``.

    Parameters
    ----------
    client : MlflowClient
        Of the store.
    run_id : str
        Empty for a run that the store could not make: nothing is logged to it.
    mirror : Mirror
        Shared by all runs of the store.
    waiting : Waiting
        What has not been sent yet.
    """

    client: "MlflowClient"
    run_id: str
    mirror: Mirror
    waiting: Waiting = field(default_factory=Waiting, repr=False, compare=False)

    def log_epoch(self, record: "EpochRecord") -> None:
        """Log one epoch's metrics and its batches'; step is the epoch, or the update.

        Within a second of the last request they wait for the next epoch, or for the run's end.
        """
        self._collect((name, value, record.epoch) for name, value in record.metrics().items())
        for batch in record.batches:
            self._collect((name, value, batch.update) for name, value in batch.metrics().items())
        if time.monotonic() - self.waiting.sent_at >= PAUSE_S:
            self._send()

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log single figures."""
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
        return bool(self.run_id) and self.mirror.write(lambda: method(self.run_id, *values, **named), is_end=is_end)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log further settings or facts; a param once logged keeps its value."""
        from mlflow.entities import Param

        self._write(self.client.log_batch, params=[Param(name, str(value)) for name, value in params.items()])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; an older value of the same name is replaced."""
        from mlflow.entities import RunTag

        self._write(self.client.log_batch, tags=[RunTag(name, value) for name, value in tags.items()])

    def log_files(self, files: Iterable[Path], folder: str | None = None) -> bool:
        """Store copies of files with the run; return whether it has them all."""
        return all([self._write(self.client.log_artifact, str(file), folder) for file in files])

    def log_dataset(self, name: str, digest: str, source: str, n_rows: int, n_features: int) -> None:
        """Record which data the run learned from; ``digest`` is the SHA-256 of the prepared arrays."""
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
        """Return the last value of each metric."""
        with answered(self.mirror.where):
            return dict(self.client.get_run(self.run_id).data.metrics)

    def tags(self) -> dict[str, str]:
        """Return its tags."""
        with answered(self.mirror.where):
            return dict(self.client.get_run(self.run_id).data.tags)

    def download(self, folder: Path) -> list[Path]:
        """Put the files of the top level into ``folder`` and return them; a file that is not there is left out."""
        from mlflow.exceptions import MlflowException

        folder.mkdir(parents=True, exist_ok=True)
        taken: list[Path] = []
        with answered(self.mirror.where):
            for file in self.client.list_artifacts(self.run_id):
                with contextlib.suppress(MlflowException, FileNotFoundError):
                    taken += (
                        []
                        if file.is_dir
                        else [Path(self.client.download_artifacts(self.run_id, file.path, str(folder)))]
                    )
        return taken

    def copy_into(self, other: "Run", files: Iterable[Path]) -> None:
        """Give ``other`` this run's params and histories, its files as downloaded, and the tags of a finished one."""
        with answered(self.mirror.where):
            known = self.client.get_run(self.run_id).data
            other.log_params(known.params)
            for name in known.metrics:
                points = self.client.get_metric_history(self.run_id, name)
                other._collect((name, point.value, point.step) for point in points)
        other.set_tags({"weights_hash": known.tags["weights_hash"], "reused_from": self.run_id})
        if other.log_files(files):
            other.set_tags({OUTPUTS: "true"})

    def reopen(self) -> None:
        """Set an ended run RUNNING again, to be continued."""
        with answered(self.mirror.where):
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
        with answered(self.mirror.where):
            points = self.client.get_metric_history(self.run_id, metric)
        return [(point.step, float(point.value)) for point in points]

    def end(self, status: Status, reason: str | None = None) -> None:
        """Close the run; ``reason`` tells why it is not FINISHED."""
        self._send()
        if reason:
            self.set_tags({REASON: reason[:5000]})
        self._write(self.client.set_terminated, status, is_end=True)

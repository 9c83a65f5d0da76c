"""One tracked run: what is logged into it and how it ends."""

import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from mlpsweep.tracking.points import Point, points_of, recorded_points
from mlpsweep.tracking.project import hold_running, project_tags, work_tree
from mlpsweep.tracking.queue import RecordQueue, RunHandle, answered

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlpsweep.training.folder import TrainingFolder
    from mlpsweep.training.history import EpochRecord

Status = Literal["FINISHED", "FAILED", "KILLED"]
REASON = "reason"
# Tags a run that lacks records, until they are sent.
INCOMPLETE = "incomplete"
# Tags a run that has all files of its training.
OUTPUTS = "outputs"


@dataclass(frozen=True)
class Run:
    """A run in an open store; as a context manager it ends with the status that the block deserves.

    What is logged goes through the queue, so a store that fails stops nothing; what is asked raises ``StorageError``.

    Parameters
    ----------
    client : MlflowClient
        Client of the store.
    handle : RunHandle
        The run's id, empty until the queue has created the run.
    queue : RecordQueue
        Shared by all runs of the store.
    """

    client: "MlflowClient"
    handle: RunHandle
    queue: RecordQueue

    @property
    def run_id(self) -> str:
        """The run's id; empty until the store has made the run."""
        return self.handle.run_id

    def log_epoch(self, record: "EpochRecord") -> None:
        """Log one epoch's metrics and its batches'; step is the epoch, or the update."""
        self.queue.put_points(self.handle, points_of(record, _now_ms()))

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log single figures."""
        now = _now_ms()
        self.queue.put_points(self.handle, [(name, float(value), step, now) for name, value in metrics.items()])

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log further settings or facts; a param once logged keeps its value."""
        from mlflow.entities import Param

        known = [Param(name, str(value)) for name, value in params.items()]
        self.queue.put(self.handle, lambda: self.client.log_batch(self.run_id, params=known))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; an older value of the same name is replaced."""
        from mlflow.entities import RunTag

        known = [RunTag(name, value) for name, value in tags.items()]
        self.queue.put(self.handle, lambda: self.client.log_batch(self.run_id, tags=known))

    def log_files(self, files: Iterable[Path], folder: str | None = None, *, tag: str | None = None) -> None:
        """Store copies of files with the run; when it has them all, set ``tag`` to true."""
        kept = list(files)

        def send() -> None:
            there = [file for file in kept if file.exists()]  # no repetition would bring back one that was removed
            for file in there:
                self.client.log_artifact(self.run_id, str(file), folder)
            if tag and there == kept:
                self.client.set_tag(self.run_id, tag, "true")

        self.queue.put(self.handle, send)

    def log_text(self, file: str, text: str) -> None:
        """Store a text as a file with the run; an older file of the same name is replaced."""
        self.queue.put(self.handle, lambda: self.client.log_text(self.run_id, text, file))

    def log_input(self, name: str, digest: str, context: str, profile: Mapping[str, Any], source: str) -> None:
        """Record data that the run used: ``digest`` tells it from other data, ``context`` says what for."""
        import json

        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=digest[:32],
            source_type="local",
            source=json.dumps({"uri": source}),
            profile=json.dumps(profile),
        )
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])]
        self.queue.put(self.handle, lambda: self.client.log_inputs(self.run_id, inputs))

    def complete(self, folder: "TrainingFolder") -> None:
        """Have points that did not reach the store read from the folder, which is the record."""
        self.queue.complete(self.handle, lambda: recorded_points(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run as the block ended: FINISHED, KILLED by a signal, or FAILED with the reason."""
        if error is None:
            self.end("FINISHED")
        elif isinstance(error, KeyboardInterrupt) or is_giving_way(error):
            self.end("KILLED", "interrupted")
        else:
            self.end("FAILED", f"{type(error).__name__}: {error}")
        self.queue.close()

    def end(self, status: Status, reason: str | None = None) -> None:
        """Close the run; ``reason`` tells why it is not FINISHED. A store that answers is waited for."""
        if reason:
            self.set_tags({REASON: reason[:5000]})
        ended = _now_ms()
        self.handle.ending = {"status": status, "reason": reason}
        *first, last = lambda: self.client.set_terminated(self.run_id, status, ended), *self.handle.after_end

        def send_last() -> None:
            last()
            if self.handle.lock:
                self.handle.lock.release()

        for send in (*first, send_last):
            self.queue.put(self.handle, send)
        if self.queue.drain(gives_up=True):
            self.handle.is_late = True

    def leave(self) -> None:
        """Send nothing more of the run, and let go of it: another process goes on with it."""
        self.queue.forget(self.handle)

    def metrics(self) -> dict[str, float]:
        """Return the last value of each metric."""
        with answered(self.queue.where):
            return dict(self.client.get_run(self.run_id).data.metrics)

    def tags(self) -> dict[str, str]:
        """Return its tags."""
        with answered(self.queue.where):
            return dict(self.client.get_run(self.run_id).data.tags)

    def download(self, folder: Path) -> None:
        """Download the files of the top level into ``folder``, which exists; missing files are left out."""
        from mlflow.exceptions import MlflowException

        with answered(self.queue.where):
            for file in self.client.list_artifacts(self.run_id):
                if not file.is_dir:
                    with contextlib.suppress(MlflowException, FileNotFoundError):
                        self.client.download_artifacts(self.run_id, file.path, str(folder))

    def copy_into(self, other: "Run", files: Iterable[Path]) -> None:
        """Give ``other`` this run's params and histories, its files as downloaded, and the tags of a finished one."""
        with answered(self.queue.where):
            known = self.client.get_run(self.run_id).data
            other.log_params(known.params)
            points: list[Point] = []
            for name in known.metrics:
                history = self.client.get_metric_history(self.run_id, name)
                points += [(name, point.value, point.step, point.timestamp) for point in history]
        other.queue.put_points(other.handle, points)
        other.set_tags({"weights_hash": known.tags["weights_hash"], "reused_from": self.run_id})
        other.log_files(files, tag=OUTPUTS)

    def reopen(self) -> None:
        """Set an ended run RUNNING again, to be continued; what it holds already is not logged again."""
        self.handle.needs_check = True
        self.hold()
        self.queue.put(self.handle, lambda: reopen(self.client, self.run_id))

    def hold(self) -> None:
        """Show, until the run's end is sent, that this process works on it."""
        self.handle.lock = hold_running(self.run_id, work_tree())

    def value_at(self, metric: str, step: int) -> float | None:
        """Return a metric's value at a step, or None if it was not logged there."""
        with answered(self.queue.where):
            points = self.client.get_metric_history(self.run_id, metric)
        return next((float(point.value) for point in reversed(points) if point.step == step), None)


def is_giving_way(error: BaseException) -> bool:
    """Return whether a launcher breaks a job off that it has queued again: submitit exits with -1 then."""
    return isinstance(error, SystemExit) and error.code == -1


def reopen(client: "MlflowClient", run_id: str) -> None:
    """Set an ended run RUNNING, with no reason any more; it is this project's from now on, wherever it began."""
    from mlflow.entities import RunTag

    # The tags first: whoever closes what a killed process left must not take the run for the former project's.
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in project_tags(work_tree()).items()])
    client.update_run(run_id, status="RUNNING")
    if REASON in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, REASON)


def _now_ms() -> int:
    return int(time.time() * 1000)

"""Points of metrics: what a training's folder records of them, and what a store has; a point is run, name and step."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from mlpsweep.training.folder import TrainingFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlpsweep.training.history import EpochRecord

Point = tuple[str, float, int, int]
"""Name, value, step, and POSIX time in milliseconds."""

MAX_BATCH: Final = 1000
"""Points that the store takes in one request."""


def points_of(record: "EpochRecord", at_ms: int) -> list[Point]:
    """Return the points of an epoch and of its batches, logged at a POSIX time in milliseconds."""
    points = [(name, float(value), record.epoch, at_ms) for name, value in record.metrics().items()]
    for batch in record.batches:
        points += [(name, float(value), batch.update, at_ms) for name, value in batch.metrics().items()]
    return points


def send_points(client: "MlflowClient", run_id: str, points: list[Point]) -> None:
    """Log points of metrics, a thousand in a request."""
    from mlflow.entities import Metric

    for start in range(0, len(points), MAX_BATCH):
        chunk = [Metric(name, value, at, step) for name, value, step, at in points[start : start + MAX_BATCH]]
        client.log_batch(run_id, metrics=chunk)


def send_missing(client: "MlflowClient", run_id: str, points: list[Point]) -> int:
    """Log those points whose step the store lacks, and return how many; a point is its run, name and step."""
    missing = missing_points(client, run_id, points)
    send_points(client, run_id, missing)
    return len(missing)


def missing_points(client: "MlflowClient", run_id: str, points: list[Point]) -> list[Point]:
    """Return those points whose step the store lacks, each step once."""
    known = {name: _steps(client, run_id, name) for name in dict.fromkeys(point[0] for point in points)}
    missing: list[Point] = []
    for point in points:
        name, _, step, _ = point
        if step not in known[name]:
            known[name].add(step)
            missing.append(point)
    return missing


def _steps(client: "MlflowClient", run_id: str, name: str) -> set[int]:
    return {point.step for point in client.get_metric_history(run_id, name)}


def recorded_points(folder: TrainingFolder) -> list[Point]:
    """Return every point of a folder's history and batches; their time is when the folder was written.

    Raises
    ------
    DataError
        If a file is missing or damaged; a folder of earlier times has no batches.
    """
    at_ms = folder.written_ms()
    points = _points(folder.history(), "epoch", at_ms)
    return points + _points(folder.batches(), "update", at_ms)


def _points(rows: Sequence[Mapping[str, float | None]], step: str, at_ms: int) -> list[Point]:
    return [
        (name, value, int(row[step] or 0), at_ms)
        for row in rows
        for name, value in row.items()
        if value is not None and name not in ("epoch", "update")
    ]

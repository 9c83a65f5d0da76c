"""The points that a training's folder records, so that a store which lacks some can be completed."""

from collections.abc import Mapping, Sequence

from mlpsweep.tracking.queue import Point
from mlpsweep.training.folder import TrainingFolder


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

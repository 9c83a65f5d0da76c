"""Bars on a terminal, plain lines elsewhere; on stderr, so that results can be piped."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

PLAIN_EVERY_S = 5.0


class _Bar:
    """A rich progress display that is silent where stderr is not a terminal."""

    def __init__(self, *columns: TextColumn | DownloadColumn | str) -> None:
        console = Console(stderr=True)
        self.is_live = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *columns,
            TimeRemainingColumn(),
            console=console,
            disable=not self.is_live,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, name: str, done: int, total: int, text: str) -> None:
        """Move the bar called ``name``; without a terminal, print a line every few seconds."""
        if self.is_live:
            task = self._tasks.get(name)
            if task is None:
                task = self._tasks[name] = self._progress.add_task(name, total=total, text=text)
            self._progress.update(task, completed=done, total=total, text=text)
        elif time.monotonic() - self._said_at > PLAIN_EVERY_S:
            self._said_at = time.monotonic()
            sys.stderr.write(f"{name}: {100 * done // max(total, 1)} % {text}\n")


class ByteBar(_Bar):
    """Shows the bytes of downloads, one bar per file."""

    def __init__(self) -> None:
        super().__init__(DownloadColumn())

    def update(self, file: str, done: int, total: int) -> None:
        """Report ``done`` of ``total`` bytes of ``file``."""
        self.show(file, done, total, f"of {total / 1e6:.1f} MB")


class TrainBar(_Bar):
    """Shows the updates of one training with loss, accuracy and speed."""

    def __init__(self, name: str, batch_size: int) -> None:
        super().__init__("{task.completed}/{task.total}", TextColumn("{task.fields[text]}"))
        self._name, self._batch_size, self._started = name, batch_size, time.monotonic()

    def update(self, done: int, total: int, loss: float, accuracy: float) -> None:
        """Report the running figures of the epoch under way."""
        speed = done * self._batch_size / (time.monotonic() - self._started + 1e-9)
        self.show(self._name, done, total, f"loss {loss:.4f}  accuracy {100 * accuracy:.2f} %  {speed:,.0f} samples/s")

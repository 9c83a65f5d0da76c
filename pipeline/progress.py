"""Bars on a terminal, plain lines elsewhere; on stderr, so that results can be piped."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from mlpsweep.training.history import EpochRecord

PLAIN_EVERY_S = 5.0
MIN_BAR, MAX_BAR, TIME = 10, 40, 7
# Of what is told beside the bar so many parts outlast the name.
LASTING = 2


class _Bar:
    """A rich progress display that is silent where stderr is not a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self.is_live = self._console.is_terminal
        self._column = BarColumn(MAX_BAR)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            self._column,
            TextColumn("{task.fields[text]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
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

    def show(self, name: str, done: int, total: int, parts: Sequence[str]) -> None:
        """Move the bar called ``name``; without a terminal, print a line every few seconds.

        Parameters
        ----------
        name : str
        done, total : int
        parts : sequence of str
            What is told beside the bar, the most important first: a narrow terminal leaves out the last ones.
        """
        if self.is_live:
            label, text, self._column.bar_width = fitted(name, parts, self._console.width)
            if name in self._tasks:
                self._progress.update(self._tasks[name], completed=done, total=total, description=label, text=text)
            else:
                self._tasks[name] = self._progress.add_task(label, total=total, completed=done, text=text)
        elif time.monotonic() - self._said_at > PLAIN_EVERY_S:
            self._said_at = time.monotonic()
            sys.stderr.write(f"{name}: {100 * done // max(total, 1)} %  {'  '.join(parts)}\n")

    def say(self, sentence: str) -> None:
        """Write a sentence to stderr, above the bars."""
        self._console.print(sentence, soft_wrap=True, markup=False, highlight=False)


def fitted(name: str, parts: Sequence[str], width: int) -> tuple[str, str, int]:
    """Return name, text and width of the bar that fit a terminal, where bar and time left always stay.

    Examples
    --------
    >>> fitted("relu 64", ["epoch 3/15", "validation 97.10 %", "9,000 samples/s"], 80)
    ('relu 64', 'epoch 3/15  validation 97.10 %', 33)
    >>> fitted("relu 64", ["epoch 3/15", "validation 97.10 %", "9,000 samples/s"], 50)
    ('', 'epoch 3/15  validation 97.10 %', 10)
    """
    lasting = min(LASTING, len(parts))
    choices = [(name, n) for n in range(len(parts), lasting - 1, -1)] + [("", n) for n in range(lasting, -1, -1)]
    for label, n in choices:
        text = "  ".join(parts[:n])
        # A space goes between the four columns.
        room = width - len(label) - len(text) - TIME - 3
        if room >= MIN_BAR:
            break
    return label, text, max(1, min(room, MAX_BAR))


class ByteBar(_Bar):
    """Shows the bytes of downloads, one bar per file."""

    def update(self, file: str, done: int, total: int) -> None:
        """Report ``done`` of ``total`` bytes of ``file``."""
        self.show(file, done, total, [f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"])


class TrainBar(_Bar):
    """Shows the epochs of one training with the last measured accuracy, the running loss and the speed.

    Parameters
    ----------
    name : str
    n_epochs, batch_size : int
    """

    def __init__(self, name: str, n_epochs: int, batch_size: int) -> None:
        super().__init__()
        self._name, self._n_epochs, self._batch_size = name, n_epochs, batch_size
        self._measured, self._total = "", 0
        self._began: tuple[float, int] | None = None

    def epoch(self, record: "EpochRecord") -> None:
        """Report an epoch that ended."""
        name, share = record.measured_accuracy()
        self._measured = f"{name} {100 * share:.2f} %"
        if self._began:  # those of an earlier process come before the first update
            self.update(record.update, self._total, record.train_loss, record.train_accuracy)

    def update(self, done: int, total: int, loss: float, accuracy: float) -> None:
        """Report the running figures of the epoch under way."""
        now, self._total = time.monotonic(), total
        # Of updates before this process nobody knows here how long they took.
        since, before = self._began = self._began or (now, done)
        speed = (done - before) * self._batch_size / (now - since + 1e-9)
        epoch = min(self._n_epochs, 1 + (done - 1) * self._n_epochs // total)
        measured = self._measured or f"train {100 * accuracy:.2f} %"
        rate = f"{speed:,.0f} samples/s" if done > before else ""
        parts = [f"epoch {epoch}/{self._n_epochs}", measured, f"loss {loss:.4g}", rate]
        self.show(self._name, done, total, [part for part in parts if part])

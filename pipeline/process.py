"""What a command's process owes the shell that started it: an orderly end by signals, quiet ends of pipes."""

import io
import os
import signal
import sys
import time
from types import FrameType
from typing import Any, TextIO

PATIENCE_S = 30.0
"""Seconds that an orderly end may take; a signal after that breaks it off."""


class Terminated(KeyboardInterrupt):
    """Raised on SIGTERM; a KeyboardInterrupt, so that SIGTERM ends a run as Ctrl-C does."""


class _Ending:
    """Raises at the first signal, which unwinds everything in order; one more must not break off that order."""

    def __init__(self) -> None:
        self._began = float("-inf")
        self.signal: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() - self._began > PATIENCE_S:
            self._began, self.signal = time.monotonic(), number
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


_ENDING = _Ending()


def end_in_order(*numbers: signal.Signals) -> None:
    """Let each of these signals end this process in order; one that it was told to ignore, as by nohup, stays so."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _ENDING.handle)


def was_terminated() -> bool:
    """Return whether SIGTERM is what ends this process, also where other code has raised a plain KeyboardInterrupt."""
    return _ENDING.signal == signal.SIGTERM


class _Outlet(io.FileIO):
    """A file whose reader may leave before the end, as ``head`` does: what is written after that is dropped."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def outlive_readers() -> None:
    """Let a reader of stdout or stderr leave without a word: the work goes on, since its outcome is in files and runs.

    So the exit code still tells how the work ended; 141, which a killed process would leave, would call it broken off.
    """
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:  # closed, as by `>&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process lives
        # A test's or a notebook's stand-in is no pipe.
        elif stream is getattr(sys, f"__{name}__"):
            raw = io.BufferedWriter(_Outlet(stream.fileno(), "w", closefd=False))
            outlet = io.TextIOWrapper(
                raw, stream.encoding, stream.errors, line_buffering=name == "stderr" or stream.isatty()
            )
            setattr(sys, name, outlet)

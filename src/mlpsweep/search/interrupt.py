"""Signals and time limits that stop a training at once, and break off nothing else."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
REQUESTS = (signal.SIGUSR1, signal.SIGUSR2)
"""Signals by which a launcher that has set a handler, such as submitit, asks for the job's place; it gets it after."""
PATIENCE_S = 30.0
"""Seconds that an orderly end may take; a signal after that breaks it off."""

REPEAT_S = 0.5
# Python swallows exceptions raised in `__del__`, and ours may arrive while signals are held back; so the timer fires
# again every REPEAT_S.


class PausedError(KeyboardInterrupt):
    """The search shall stop for now; not an ``Exception``, so that nothing takes it for a failed training."""


class TimedOutError(BaseException):
    """A trial has used up its time."""


class Interrupt:
    """Turns SIGINT, SIGTERM, a launcher's requests and time limits into exceptions, but only inside :meth:`allowed`.

    Elsewhere a signal waits until it is asked for; so does a second one, which must not break off the orderly end, for
    PATIENCE_S. A signal that the process was told to ignore, as by nohup, stays ignored. Use it in the main thread.

    Parameters
    ----------
    timeout_s : float or None
        Seconds until the search pauses.
    """

    def __init__(self, timeout_s: float | None = None) -> None:
        self.signal: int | None = None
        self._signalled = float("inf")
        self._deadline = _after(timeout_s)
        self._trial_deadline = float("inf")
        self._is_allowed = False
        self._restore: dict[int, Any] = {}

    def __enter__(self) -> Self:
        heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        heard += [number for number in REQUESTS if callable(signal.getsignal(number))]
        for number in (*heard, signal.SIGALRM):
            self._restore[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._restore.items():
            signal.signal(number, handler)

    @property
    def is_requested(self) -> bool:
        """Whether the search shall stop."""
        return self.signal is not None or time.monotonic() >= self._deadline

    @contextlib.contextmanager
    def allowed(self, timeout_s: float | None = None) -> Iterator[None]:
        """Let a signal, the search's limit, or one of ``timeout_s`` seconds break off the block.

        Raises
        ------
        PausedError
            By a signal, or at the search's limit.
        TimedOutError
            At the block's own limit.
        """
        self._trial_deadline = _after(timeout_s)
        remaining = min(self._deadline, self._trial_deadline) - time.monotonic()
        if remaining != float("inf"):
            signal.setitimer(signal.ITIMER_REAL, max(remaining, 1e-3), REPEAT_S)
        try:
            self._is_allowed = True
            self._check()
            yield
        finally:
            self._is_allowed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._trial_deadline = float("inf")

    def held_back(self, function: Callable[..., None]) -> Callable[..., None]:
        """Return ``function`` such that it is never broken off; what came in the meantime follows it."""

        def whole(*arguments: Any) -> None:
            self._is_allowed = False
            function(*arguments)
            self._is_allowed = True
            self._check()

        return whole

    def wait(self, seconds: float) -> None:
        """Sleep, or less if the search shall stop."""
        with contextlib.suppress(PausedError), self.allowed():
            time.sleep(seconds)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGALRM:
            if time.monotonic() - self._signalled > PATIENCE_S:
                raise PausedError
            if self.signal is None:
                self.signal, self._signalled = number, time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, REPEAT_S, REPEAT_S)
        if self._is_allowed:
            self._check()

    def _check(self) -> None:
        if self.is_requested:
            raise PausedError
        if time.monotonic() >= self._trial_deadline:
            raise TimedOutError


def _after(seconds: float | None) -> float:
    return float("inf") if seconds is None else time.monotonic() + seconds

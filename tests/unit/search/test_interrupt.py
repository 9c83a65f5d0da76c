"""Interrupts: they break off what may be broken off, and wait for what may not."""

import signal
import time
from collections.abc import Iterator

import pytest

from mlpsweep.search.interrupt import Interrupt, PausedError, TimedOutError


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    with Interrupt() as interrupt:
        yield interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_breaks_off_what_is_allowed(interrupt: Interrupt, number: signal.Signals) -> None:
    with pytest.raises(PausedError), interrupt.allowed():
        signal.raise_signal(number)
    assert interrupt.signal == number


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_launchers_request_is_heard_and_its_handler_comes_after(number: signal.Signals) -> None:
    heard: list[int] = []
    before = signal.signal(number, lambda number, frame: heard.append(number))
    try:
        with Interrupt() as interrupt:
            with pytest.raises(PausedError), interrupt.allowed():
                signal.raise_signal(number)
            assert (interrupt.signal, heard) == (number, [])
        signal.raise_signal(number)
        assert heard == [number]
    finally:
        signal.signal(number, before)


def test_a_signal_that_no_launcher_uses_is_left_alone() -> None:
    with Interrupt():
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL


def test_outside_a_signal_only_waits_to_be_asked_for(interrupt: Interrupt) -> None:
    signal.raise_signal(signal.SIGINT)
    assert interrupt.is_requested
    with pytest.raises(PausedError), interrupt.allowed():
        pytest.fail("the block began")


def test_a_second_signal_is_held_back_as_the_first(interrupt: Interrupt) -> None:
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    assert interrupt.signal == signal.SIGINT


def test_a_signal_breaks_off_an_end_that_does_not_come(interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch) -> None:
    signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr("mlpsweep.search.interrupt.PATIENCE_S", 0.01)
    time.sleep(0.02)
    with pytest.raises(PausedError):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_was_ignored_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt, interrupt.allowed():
            signal.raise_signal(number)
        assert not interrupt.is_requested
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_what_is_held_back_ends_before_the_interrupt_comes(interrupt: Interrupt) -> None:
    done: list[str] = []

    def write(what: str) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(what)

    with pytest.raises(PausedError), interrupt.allowed():
        interrupt.held_back(write)("first")
    assert done == ["first"]


def test_a_block_over_its_time_is_broken_off(interrupt: Interrupt) -> None:
    start = time.monotonic()
    with pytest.raises(TimedOutError), interrupt.allowed(timeout_s=0.05):
        time.sleep(10)
    assert time.monotonic() - start < 5
    assert not interrupt.is_requested


def test_a_limit_that_passes_while_held_back_is_not_lost(interrupt: Interrupt) -> None:
    with pytest.raises(TimedOutError), interrupt.allowed(timeout_s=0.05):
        interrupt.held_back(time.sleep)(0.2)


def test_no_limit_outlives_its_block(interrupt: Interrupt) -> None:
    with interrupt.allowed(timeout_s=0.05):
        pass
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    with interrupt.allowed():
        time.sleep(0.1)


def test_the_searchs_limit_is_no_failure_of_a_trial() -> None:
    with Interrupt(timeout_s=0.05) as interrupt:
        with pytest.raises(PausedError), interrupt.allowed(timeout_s=10):
            time.sleep(10)
        assert interrupt.is_requested
        assert interrupt.signal is None


def test_waiting_ends_with_a_signal(interrupt: Interrupt) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    old = signal.signal(signal.SIGUSR1, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.raise_signal(signal.SIGUSR1)
    start = time.monotonic()
    interrupt.wait(10)
    signal.signal(signal.SIGUSR1, old)
    assert time.monotonic() - start < 5


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    with Interrupt(timeout_s=100):
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == before

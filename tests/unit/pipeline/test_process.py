"""What a process owes its shell: signals end it in order, and a reader may leave."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from pipeline import process
from pipeline.process import Terminated, end_in_order


@pytest.fixture(autouse=True)
def _own_handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(process, "_ENDING", process._Ending())
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_the_first_signal_raises_and_further_ones_wait(number: signal.Signals, kind: type[BaseException]) -> None:
    end_in_order(signal.SIGINT, signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as raised:
        signal.raise_signal(number)
    assert type(raised.value) is kind
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)


def test_a_signal_breaks_off_an_end_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    end_in_order(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr(process, "PATIENCE_S", 0.01)
    time.sleep(0.02)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_what_was_ignored_from_the_start_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_in_order(signal.SIGINT, signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_telling_twice_is_telling_once() -> None:
    end_in_order(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    end_in_order(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


WRITER = """
import sys
from pipeline.process import outlive_readers
outlive_readers()
for number in range(100000):
    sys.stdout.write(f"line {number}\\n")
    sys.stderr.write("")
sys.stdout.flush()
open(sys.argv[1], "w").write("all of the work")
"""


@pytest.mark.parametrize("closed", ["| head -n 1", ">&-", "2>&1 | true"])
def test_a_reader_that_leaves_breaks_nothing_off(tmp_path_factory: pytest.TempPathFactory, closed: str) -> None:
    done_file = tmp_path_factory.mktemp("done") / "done"
    command = f'set -o pipefail; "$0" -c "$1" "$2" {closed}'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, WRITER, str(done_file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done_file.read_text() == "all of the work"

"""The one handler: exceptions become messages and exit codes."""

import errno

import pytest

from mlpsweep.errors import DataError, SettingsError
from pipeline.door import Outcome, enter, guarded


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (SettingsError("seed: -1; expected more"), 2, "seed: -1; expected more"),
        (DataError("http://me:secret@host/x: gone"), 3, "http://***@host/x: gone"),
        (OSError(errno.ENOSPC, "No space left", "model.npz"), 4, "model.npz: No space left; expected a folder"),
        (OSError(errno.EACCES, "Permission denied"), 4, "storage: Permission denied; expected a folder"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), 1, "FileNotFoundError"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_an_exception_becomes_a_message_and_a_code(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        raise error

    outcome = guarded(work)
    assert (outcome.exit_code, len(outcome.messages)) == (code, 1)
    assert outcome.messages[0].startswith(message)
    shown = capsys.readouterr().err
    assert ("Traceback" in shown) == (code == 1)
    assert (f"error: {message}" in shown) == (1 < code < 130)


def test_work_without_a_fault_is_done() -> None:
    assert guarded(lambda: None) == Outcome(0)


@pytest.mark.parametrize("word", ["--n_epochs=1", "--cfg=nope", "--config-dir"])
def test_a_flag_that_is_not_understood_is_a_sentence(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train", word])
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    with pytest.raises(SystemExit, match="2"):
        enter("pipeline.train")
    assert capsys.readouterr().err.startswith("error: command line: ")

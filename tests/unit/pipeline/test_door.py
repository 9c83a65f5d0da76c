"""The one handler: exceptions become messages and exit codes."""

import errno
import re
from pathlib import Path
from typing import cast

import pytest

from mlpsweep.errors import DataError, SettingsError
from mlpsweep.files import write_json
from pipeline.compose import Job
from pipeline.door import Sweep, asked, enter
from pipeline.outcome import Outcome, guarded
from pipeline.train import DOOR


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


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["lambda=0.1", "--cfg", "job"], "did you mean l2_lambda?"),
        (["lambda=0.1", "--info"], "did you mean l2_lambda?"),
        (["seed=1,2", "--cfg", "job"], "Add -m"),
        (["-m", "--cfg", "job"], "not allowed with"),
        (["--info", "nope"], "invalid choice: 'nope'"),
        (["--resolve"], "say what --cfg shows"),
        (["--package", "data"], "say what --cfg shows"),
        (["--mult", "seed=1,2"], "unrecognized arguments: --mult"),
        (["--config-dir", ""], "is no folder"),
        (["--config-dir", "a" * 300], "is no folder"),
        (["--config-dir", "a\0"], "is no folder"),
        (["-m", "output_dir=x", "seed=1,2"], "one folder for 2 jobs"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_refused_before_anything_runs(words: list[str], named: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(named)):
        asked(DOOR, words)


def test_a_fault_says_where_and_its_outcome_only_what(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise SettingsError("seed: -1")

    assert guarded(work, "job 3 (seed=-1): ") == Outcome(2, ("seed: -1",), "failed")
    assert capsys.readouterr().err == "error: job 3 (seed=-1): seed: -1\n"


def test_a_job_without_an_outcome_was_killed_or_never_began(tmp_path: Path) -> None:
    jobs = (cast(Job, None),) * 3
    write_json(tmp_path / "0" / "outcome.json", {"exit_code": 3, "messages": ["gone"]})
    (tmp_path / "1").mkdir()
    sweep = Sweep(tmp_path, (), jobs)
    first, second, third = sweep.outcomes()
    assert first == Outcome(3, ["gone"])  # type: ignore[arg-type] - as JSON has it
    assert "killed" in second.messages[0]
    assert "never began" in third.messages[0]
    assert (sweep.has_begun(), Sweep(tmp_path / "2", (), jobs).has_begun()) == (True, False)

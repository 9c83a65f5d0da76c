"""Commands that run side by side: how they ended, what they said, and that they end with us."""

import os
import threading
import time
from pathlib import Path

import pytest

from pipeline.outcome import Outcome
from pipeline.recipes import Children

MODULES = {
    "fine": "print('fine')",
    "loud": "import sys; sys.exit('error: here: 1; expected 2\\nerror: there\\nmore')",
    "refused": "import sys; sys.exit(3)",
    "odd": "import os; print('odd', flush=True); os._exit(77)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "long": "import pathlib, time; pathlib.Path('began').touch(); time.sleep(60)",
}


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Children:
    monkeypatch.chdir(tmp_path)
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    return Children({**os.environ, "PYTHONPATH": str(tmp_path)})


def test_commands_run_until_one_fails_and_its_messages_are_told(children: Children, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    assert children.run([["fine"], ["fine"]], log) == Outcome(0)
    assert log.read_text() == "fine\nfine\n"
    assert children.run([["fine"], ["loud"], ["fine"]], log) == Outcome(1, ("here: 1; expected 2", "there"))
    assert log.read_text().count("fine") == 1


@pytest.mark.parametrize(
    ("module", "code", "last"), [("refused", 3, "nothing"), ("odd", 1, "odd"), ("killed", 5, "nothing")]
)
def test_a_command_without_a_message_leads_to_its_log(
    children: Children, tmp_path: Path, module: str, code: int, last: str
) -> None:
    log = tmp_path / "a.log"
    assert children.run([[module]], log) == Outcome(code, (f"exit code {code}; {log} ends with: {last}",))


def test_stop_ends_what_runs_and_starts_no_other(children: Children, tmp_path: Path) -> None:
    thread = threading.Thread(target=children.run, args=([["long"], ["fine"]], tmp_path / "a.log"))
    thread.start()
    while not (tmp_path / "began").exists():
        time.sleep(0.01)
    children.stop()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert children.run([["fine"]], tmp_path / "b.log").exit_code == 143
    assert [(tmp_path / name).read_text() for name in ("a.log", "b.log")] == ["", ""]

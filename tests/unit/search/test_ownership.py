"""Ownership: a lock that ends with its process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlpsweep.search.ownership import is_alive, remove_stale, worker_id

HOLD = """
import sys
from pathlib import Path
from mlpsweep.search.ownership import worker_id
with worker_id(Path(sys.argv[1])) as name:
    print(name, flush=True)
    sys.stdin.read()
"""


def test_a_worker_lives_as_long_as_its_block(tmp_path: Path) -> None:
    with worker_id(tmp_path) as name:
        assert is_alive(tmp_path, name)
    assert not is_alive(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_no_owner_is_not_alive(tmp_path: Path) -> None:
    assert not is_alive(tmp_path, None)
    assert not is_alive(tmp_path, "never-was")


def test_stale_locks_go_and_spares_the_living(tmp_path: Path) -> None:
    (tmp_path / "dead.lock").touch()
    with worker_id(tmp_path) as name:
        remove_stale(tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == [f"{name}.lock"]
        assert is_alive(tmp_path, name)


def test_names_differ(tmp_path: Path) -> None:
    with worker_id(tmp_path) as one, worker_id(tmp_path) as other:
        assert one != other
        assert is_alive(tmp_path, one)
        assert is_alive(tmp_path, other)


@pytest.mark.slow
def test_a_killed_worker_is_dead_at_once_and_a_stopped_one_lives(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        os.kill(process.pid, 19)  # SIGSTOP
        assert is_alive(tmp_path, name)
        process.kill()
        process.wait()
        assert not is_alive(tmp_path, name)
    assert list(tmp_path.iterdir()) == []

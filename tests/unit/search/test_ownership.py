"""Owners: a process that is no more is gone at once, and nobody else is."""

import os
import subprocess
import sys

import pytest

from mlpsweep.search.ownership import is_gone, new_owner
from tests.search_lab import an_owner

TELL = """
import sys
from mlpsweep.search.ownership import new_owner
print(new_owner(), flush=True)
sys.stdin.read()
"""


def test_a_process_lives() -> None:
    assert not is_gone(new_owner())


def test_names_differ() -> None:
    assert new_owner() != new_owner()


def test_nobody_is_gone() -> None:
    assert is_gone(None)


def test_a_process_of_the_same_number_that_was_started_at_another_time_is_another() -> None:
    assert is_gone(an_owner("a", lives=False))


@pytest.mark.parametrize("place", [2, 3], ids=["boot", "namespace"])
def test_of_another_machine_or_container_nothing_is_known(place: int) -> None:
    words = an_owner("a", lives=False).split(" ")
    words[place] = "another"
    assert not is_gone(" ".join(words))


@pytest.mark.slow
def test_a_killed_worker_is_gone_at_once_though_a_zombie_and_a_stopped_one_is_not() -> None:
    command = [sys.executable, "-c", TELL]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        os.kill(process.pid, 19)  # SIGSTOP
        assert not is_gone(owner)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(owner)
        process.wait()
        assert is_gone(owner)

"""Changed command lines of every door, anew each time; the seed stands in the test's output."""

import time

import pytest

from tests.mutations.lines import LINES, answers


@pytest.mark.slow
@pytest.mark.parametrize("door", LINES)
def test_no_changed_command_line_is_a_bug(door: str) -> None:
    seed = int(time.time())
    print(f"seed {seed}: python -m tests.mutations.lines --seed {seed}")  # noqa: T201 - shown if it fails
    assert [one for one in answers(door, 30, seed) if one.is_bug] == []

"""A small storm; `make storm` is the large one."""

import contextlib
from pathlib import Path

import pytest

from tests.faults.storm import storm
from tests.servers import postgres

pytestmark = [pytest.mark.slow, pytest.mark.fault]


@pytest.mark.parametrize("n_restarts", [0, pytest.param(2, marks=pytest.mark.postgres)], ids=["sqlite", "postgresql"])
def test_workers_killed_and_a_database_restarted_lose_no_result_and_make_none_twice(
    tmp_path: Path, n_restarts: int
) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres()) if n_restarts else None
        restarts = [server.restart] * n_restarts if server else []
        done = storm(tmp_path, server and server.url, n_trials=60, n_workers=4, n_kills=6, restarts=restarts)
    assert (done.finished, done.lost, done.twice, done.running) == (60, 0, 0, 0)

"""What a kill and a lost store leave of a `dvc repro`: everything that was made."""

import os
import signal
import sqlite3

import pytest

from tests.pipeline.clone import Clone, set_number
from tests.pipeline.doors import tracked
from tests.pipeline.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]


def test_a_repro_killed_in_its_search_ends_with_the_same_lock(whole: Clone, clone: Clone) -> None:
    # From before the search on, with more trials than the others need, so that the kill falls among them.
    lock = {}
    for number, is_killed in enumerate((False, True)):
        copy = clone if number else whole.copied(clone.folder.with_name("never killed"))
        set_number(copy.folder / "conf/search.yaml", "  n_trials", 8)
        set_number(copy.folder / "conf/search.yaml", "n_epochs", 6)
        if is_killed:
            process = copy.start("dvc repro search")
            wait_until(lambda: n_finished(clone) >= 3, process)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            assert 3 <= n_finished(clone) < 8
        copy.ok("dvc repro search")
        lock[is_killed] = (copy.folder / "dvc.lock").read_bytes()
        assert n_finished(copy) == 8
    assert lock[True] == lock[False]
    assert tracked(clone.folder, "select count(*) from runs where status = 'RUNNING'") == [(0,)]


def n_finished(clone: Clone) -> int:
    """Return how many trials the newest study has that ended or paused."""
    query = (
        "select count(*) from mlpsweep_lease where state in ('complete', 'paused') "
        "and study like (select max(study_id) from studies) || '-%'"
    )
    with sqlite3.connect(clone.folder / "mlruns/optuna.db") as store:
        return int(store.execute(query).fetchone()[0])


def test_a_lost_store_loses_no_result(clone: Clone) -> None:
    (clone.folder / "mlflow.db").unlink()
    said = clone.ok("dvc repro")
    assert said.count("Running stage") == 2  # the first and the last, which always run
    assert not (clone.folder / "mlflow.db").exists()
    before = (clone.folder / "dvc.lock").read_bytes()
    clone.ok("dvc repro --force --single-item evaluate@tanh evaluate@relu evaluate_winner")
    assert (clone.folder / "dvc.lock").read_bytes() == before
    assert tracked(clone.folder, "select value, count(*) from tags where key = 'restored' group by value") == [
        ("true", 3)
    ]
    assert tracked(clone.folder, "select count(*) from latest_metrics where key = 'test/accuracy'") == [(3,)]
    assert tracked(clone.folder, "select distinct status from runs") == [("FINISHED",)]

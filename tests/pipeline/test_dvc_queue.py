"""Queued experiments end in the main store, whoever runs them."""

import pytest

from tests.pipeline.clone import Clone, accuracy, n_runs, shown
from tests.pipeline.doors import tracked
from tests.pipeline.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.dvc]
EXPERIMENT_RUNS = "select value from tags where key = 'dvc_exp_name' order by value"


@pytest.mark.parametrize("starting", ["dvc exp run --run-all", "dvc queue start"])
def test_queued_experiments_land_in_the_main_store(clone: Clone, starting: str) -> None:
    before, kept = n_runs(clone), accuracy(clone, "relu")
    for name, rate in {"slow": "0.004", "fast": "0.05"}.items():
        clone.ok(f"dvc exp run --queue -n {name} -S conf/train.yaml:learning_rate={rate} evaluate@relu")
    # Whether a worker is at it, a later change of the work tree must not reach what is queued.
    clone.ok(starting)
    wait_until(lambda: set(shown(clone)) == {"slow", "fast"} and "Running" not in clone.ok("dvc queue status"))
    file = "artifacts/mnist/evaluate/relu/metrics.json"
    figures = {name: metrics[file]["data"]["test"]["accuracy"] for name, metrics in shown(clone).items()}
    assert len({*figures.values(), kept}) == 3
    assert n_runs(clone) == before + 2
    assert tracked(clone.folder, EXPERIMENT_RUNS) == [("fast",), ("slow",)]
    assert [path for path in (clone.folder / ".dvc/tmp").rglob("mlflow.db")] == []
    assert accuracy(clone, "relu") == kept
    assert clone.ok("git status --porcelain") == ""

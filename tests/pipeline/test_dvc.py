"""The pipeline as users of DVC know it: repro, experiments, queues, metrics, parameters, plots; on the digits."""

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.clone import Clone, commit, quick, set_number
from tests.pipeline.doors import tracked
from tests.pipeline.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]
SKIPPED = "didn't change, skipping"
STAGES = 12
RUNS = "select count(*) from runs"
EXPERIMENT_RUNS = "select value from tags where key = 'dvc_exp_name' order by value"


def n_runs(clone: Clone) -> int:
    return int(tracked(clone.folder, RUNS)[0][0])


def accuracy(clone: Clone, model: str) -> float:
    return float(clone.json(f"artifacts/evaluate/{model}/metrics.json")["test"]["accuracy"])


def test_a_part_of_the_pipeline_runs_once(tmp_path: Path) -> None:
    clone = quick(tmp_path / "a clone")
    said = clone.ok("dvc repro evaluate@relu")
    assert [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")] == [
        "download", "prepare", "train@relu", "evaluate@relu",
    ]  # fmt: skip
    assert accuracy(clone, "relu") > 0.85
    before = (clone.folder / "dvc.lock").read_bytes(), n_runs(clone)
    again = clone.ok("dvc repro evaluate@relu")
    assert (again.count("Running stage"), again.count(SKIPPED)) == (1, 3)
    assert ((clone.folder / "dvc.lock").read_bytes(), n_runs(clone)) == before


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which everything was made and the lock committed; copied, not changed, by the tests."""
    clone = quick(tmp_path_factory.mktemp("dvc") / "clone")
    clone.ok("dvc repro")
    commit(clone, "reproduced")
    return clone


@pytest.fixture
def clone(whole: Clone, tmp_path: Path) -> Iterator[Clone]:
    """A copy of that clone to work in."""
    copy = whole.copied(tmp_path / "clone")
    yield copy
    copy.run("dvc queue stop --kill")


@pytest.mark.fault
def test_a_second_repro_trains_nothing(clone: Clone) -> None:
    before = (clone.folder / "dvc.lock").read_bytes(), n_runs(clone)
    # What Python leaves beside the sources is no change of them.
    for cache in list(clone.folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    said = clone.ok("dvc repro")
    assert (said.count("Running stage"), said.count(SKIPPED)) == (2, STAGES - 2), said
    assert ((clone.folder / "dvc.lock").read_bytes(), n_runs(clone)) == before
    assert clone.ok("git status --porcelain") == ""


@pytest.mark.fault
def test_training_again_gives_the_same_lock(clone: Clone) -> None:
    before = (clone.folder / "dvc.lock").read_bytes(), n_runs(clone)
    clone.ok("dvc repro --force --single-item train@relu evaluate@relu search train_winner report")
    assert (clone.folder / "dvc.lock").read_bytes() == before[0]
    assert n_runs(clone) == before[1] + 2


@pytest.mark.fault
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
    """Return how many trials the newest study has that ended."""
    query = (
        "select count(*) from trials where state in ('COMPLETE', 'PRUNED') "
        "and study_id = (select max(study_id) from studies)"
    )
    with sqlite3.connect(clone.folder / "mlruns/optuna.db") as store:
        return int(store.execute(query).fetchone()[0])


@pytest.mark.fault
def test_an_experiment_with_another_value_gives_other_metrics(clone: Clone) -> None:
    before = accuracy(clone, "relu"), n_runs(clone)
    clone.ok("dvc exp run -S conf/train.yaml:learning_rate=0.05 -n faster evaluate@relu")
    assert accuracy(clone, "relu") != before[0]
    assert n_runs(clone) == before[1] + 1
    assert tracked(clone.folder, EXPERIMENT_RUNS) == [("faster",)]
    assert "learning_rate: 0.05" in (clone.folder / "artifacts/train/relu/config.yaml").read_text()
    differing = json.loads(clone.ok("dvc params diff --json"))["conf/train.yaml"]
    assert differing == {"learning_rate": {"old": 0.03, "new": 0.05, "diff": pytest.approx(0.02)}}
    changed = json.loads(clone.ok("dvc metrics diff --json"))["artifacts/evaluate/relu/metrics.json"]
    assert changed["test.accuracy"]["old"] == before[0]
    # The comments of the file that holds the values survive the experiment.
    assert "learning_rate: 0.05" in (clone.folder / "conf/train.yaml").read_text()
    assert "# step per update, > 0" in (clone.folder / "conf/train.yaml").read_text()


def shown(clone: Clone) -> dict[str, dict[str, Any]]:
    """Return the metrics files of each experiment that ``dvc exp show`` lists, by its name."""
    rows = json.loads(clone.ok("dvc exp show --json"))
    experiments = [one for row in rows for one in row.get("experiments") or ()]
    return {one["name"]: one["revs"][0]["data"]["metrics"] for one in experiments}


@pytest.mark.fault
@pytest.mark.parametrize("starting", ["dvc exp run --run-all", "dvc queue start"])
def test_queued_experiments_land_in_the_main_store(clone: Clone, starting: str) -> None:
    before, kept = n_runs(clone), accuracy(clone, "relu")
    for name, rate in {"slow": "0.004", "fast": "0.05"}.items():
        clone.ok(f"dvc exp run --queue -n {name} -S conf/train.yaml:learning_rate={rate} evaluate@relu")
    # Whether a worker is at it, a later change of the work tree must not reach what is queued.
    clone.ok(starting)
    wait_until(lambda: set(shown(clone)) == {"slow", "fast"} and "Running" not in clone.ok("dvc queue status"))
    file = "artifacts/evaluate/relu/metrics.json"
    figures = {name: metrics[file]["data"]["test"]["accuracy"] for name, metrics in shown(clone).items()}
    assert len({*figures.values(), kept}) == 3
    assert n_runs(clone) == before + 2
    assert tracked(clone.folder, EXPERIMENT_RUNS) == [("fast",), ("slow",)]
    assert [path for path in (clone.folder / ".dvc/tmp").rglob("mlflow.db")] == []
    assert accuracy(clone, "relu") == kept
    assert clone.ok("git status --porcelain") == ""


@pytest.mark.fault
def test_an_experiment_in_a_copy_runs_the_code_of_the_copy(clone: Clone) -> None:
    clone.replace("src/mlpsweep/tracking/lineage.py", 'tags = {"host"', 'tags = {"from_the_copy": "1", "host"')
    clone.ok("dvc exp run --queue -n mine --force evaluate@relu")
    clone.ok("git checkout --quiet src")
    clone.ok("dvc exp run --run-all")
    assert tracked(clone.folder, "select value from tags where key = 'from_the_copy'") == [("1",)]


@pytest.mark.fault
def test_a_temporary_experiment_leaves_the_work_tree_alone(clone: Clone) -> None:
    before = accuracy(clone, "tanh"), n_runs(clone)
    clone.ok("dvc exp run --temp -n aside -S conf/train.yaml:seed=7 evaluate@tanh")
    assert clone.ok("git status --porcelain") == ""
    assert (accuracy(clone, "tanh"), n_runs(clone)) == (before[0], before[1] + 1)
    assert list(shown(clone)) == ["aside"]


@pytest.mark.fault
def test_metrics_and_plots_are_shown(clone: Clone) -> None:
    metrics = json.loads(clone.ok("dvc metrics show --json"))[""]["data"]
    models = {file.split("/")[2]: found["data"] for file, found in metrics.items()}
    assert set(models) == {"sigmoid", "tanh", "relu", "winner"}
    assert {found["dataset"] for found in models.values()} == {"digits"}
    assert models["relu"]["test"]["accuracy"] == accuracy(clone, "relu")
    clone.ok("dvc plots show --out shown")
    page = (clone.folder / "shown/index.html").read_text()
    for word in ("validation/accuracy", "Validation accuracy per epoch", "Test images by label and prediction"):
        assert word in page
    # The confusion template counts the rows of predictions.csv: every test image is one.
    assert page.count('"predicted"') > 360


@pytest.mark.fault
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


@pytest.mark.fault
def test_a_changed_setting_runs_what_depends_on_it_and_no_more(clone: Clone) -> None:
    clone.replace("conf/search.yaml", "reuse: true", "reuse: false")
    planned = clone.ok("dvc repro --dry")
    running = [line.split("'")[1] for line in planned.splitlines() if line.startswith("Running stage")]
    assert running[:2] == ["download", "search"]
    clone.ok("git checkout --quiet conf")
    clone.replace("conf/train.yaml", "- optimizer: sgd ", "- optimizer: adam ")
    planned = clone.ok("dvc repro --dry")
    running = [line.split("'")[1] for line in planned.splitlines() if line.startswith("Running stage")]
    assert {"train@sigmoid", "train@tanh", "train@relu", "search"} <= set(running)
    assert "prepare" not in running


def test_dvc_sends_nothing_and_keeps_its_pickles_private(tmp_path: Path) -> None:
    clone = quick(tmp_path / "a clone")
    assert clone.ok("dvc config core.analytics").strip() == "false"
    cache = Path(clone.ok("dvc config core.site_cache_dir").strip())
    assert cache == clone.folder / ".dvc/site-cache"
    assert oct(cache.stat().st_mode & 0o777) == "0o700"
    clone.ok("dvc status")
    assert list(cache.rglob("*.db")) or list(cache.iterdir())

"""DVC's experiments: other values, other code, other places."""

import json

import pytest

from tests.pipeline.clone import Clone, accuracy, n_runs, shown
from tests.pipeline.doors import tracked

pytestmark = [pytest.mark.slow, pytest.mark.dvc]
EXPERIMENT_RUNS = "select value from tags where key = 'dvc_exp_name' order by value"


def test_an_experiment_with_another_value_gives_other_metrics(clone: Clone) -> None:
    before = accuracy(clone, "relu"), n_runs(clone)
    clone.ok("dvc exp run -S conf/train.yaml:learning_rate=0.05 -n faster evaluate@relu")
    assert accuracy(clone, "relu") != before[0]
    assert n_runs(clone) == before[1] + 1
    assert tracked(clone.folder, EXPERIMENT_RUNS) == [("faster",)]
    assert "learning_rate: 0.05" in (clone.folder / "artifacts/mnist/train/relu/config.yaml").read_text()
    differing = json.loads(clone.ok("dvc params diff --json"))["conf/train.yaml"]
    assert differing == {"learning_rate": {"old": 0.03, "new": 0.05, "diff": pytest.approx(0.02)}}
    changed = json.loads(clone.ok("dvc metrics diff --json"))["artifacts/mnist/evaluate/relu/metrics.json"]
    assert changed["test.accuracy"]["old"] == before[0]
    # The comments of the file that holds the values survive the experiment.
    assert "learning_rate: 0.05" in (clone.folder / "conf/train.yaml").read_text()
    assert "# step per update, > 0" in (clone.folder / "conf/train.yaml").read_text()


def test_an_experiment_in_a_copy_runs_the_code_of_the_copy(clone: Clone) -> None:
    clone.replace("src/mlpsweep/tracking/lineage.py", 'tags = {"host"', 'tags = {"from_the_copy": "1", "host"')
    clone.ok("dvc exp run --queue -n mine --force evaluate@relu")
    clone.ok("git checkout --quiet src")
    clone.ok("dvc exp run --run-all")
    assert tracked(clone.folder, "select value from tags where key = 'from_the_copy'") == [("1",)]


def test_a_temporary_experiment_leaves_the_work_tree_alone(clone: Clone) -> None:
    before = accuracy(clone, "tanh"), n_runs(clone)
    clone.ok("dvc exp run --temp -n aside -S conf/train.yaml:seed=7 evaluate@tanh")
    assert clone.ok("git status --porcelain") == ""
    assert (accuracy(clone, "tanh"), n_runs(clone)) == (before[0], before[1] + 1)
    assert list(shown(clone)) == ["aside"]


def test_another_data_set_is_one_key_away_and_lies_beside(clone: Clone) -> None:
    before = (clone.folder / "artifacts/mnist/evaluate/relu/metrics.json").read_bytes()
    clone.ok("dvc exp run -S conf/train.yaml:defaults.0.data=wine -n wine evaluate@relu")
    assert "- data: wine" in (clone.folder / "conf/train.yaml").read_text()
    lineage = clone.json("artifacts/wine/evaluate/relu/lineage.json")
    assert (lineage["dataset"], lineage["stands_in_for"]) == ("wine", None)
    assert (clone.folder / "artifacts/mnist/evaluate/relu/metrics.json").read_bytes() == before
    assert "artifacts/wine/evaluate/relu/metrics.json" in json.loads(clone.ok("dvc metrics diff --json"))
    clone.ok("git checkout --quiet conf/train.yaml dvc.lock")
    assert clone.ok("dvc status evaluate@relu").count("changed") <= 1  # the download, which always runs

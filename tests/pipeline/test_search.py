"""The door ``search``: a target to be reached, one parent with a child per trial, a winner to be rebuilt."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.pipeline.doors import door, repoint, tracked, tree

pytestmark = pytest.mark.slow
SEARCH = (
    "data=digits", "n_epochs=2", "hidden_sizes=[33]", "space.dimensions.hidden_sizes.width.high=40",
    "search.pruner=none", "winner.top_k=1", "winner.n_seeds=1",
)  # fmt: skip
CHILDREN = "select count(*) from tags where key = 'mlflow.parentRunId'"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    done = door(folder, "search", *SEARCH, "search.n_trials=4")
    assert done.returncode == 0, done.stderr
    assert "rebuild the winner" in done.stdout
    return folder


def test_every_trial_is_a_child_of_the_study(searched: Path) -> None:
    assert tracked(searched, CHILDREN) == [(4,)]
    assert tracked(searched, "select distinct status from runs") == [("FINISHED",)]
    assert tracked(searched, "select count(*) from metrics where key = 'validation/accuracy'") == [(8,)]


def test_the_first_trial_is_the_published_baseline(searched: Path) -> None:
    query = """select params.value from params join tags using (run_uuid)
               where tags.key = 'trial' and tags.value = '0' and params.key = 'hidden_sizes'"""
    assert tracked(searched, query) == [("[33]",)]


def test_the_same_command_runs_nothing_and_a_higher_target_the_difference(searched: Path, tmp_path: Path) -> None:
    searched = repoint(shutil.copytree(searched, tmp_path / "copy"))
    before = (searched / "artifacts/search/summary.json").read_bytes()
    assert door(searched, "search", *SEARCH, "search.n_trials=4").returncode == 0
    assert tracked(searched, CHILDREN) == [(4,)]
    assert (searched / "artifacts/search/summary.json").read_bytes() == before
    assert door(searched, "search", *SEARCH, "search.n_trials=5", "output_dir=more").returncode == 0
    assert tracked(searched, CHILDREN) == [(5,)]
    assert tracked(searched, "select count(*) from runs where name like 'search%'") == [(1,)]


def test_the_winner_is_rebuilt_by_the_command_that_is_printed(searched: Path) -> None:
    words = ("--config-dir", "artifacts/search", "recipe=winner", "n_epochs=2", "output_dir=winner")
    done = door(searched, "train", *words)
    assert done.returncode == 0, done.stderr
    summary = json.loads((searched / "artifacts/search/summary.json").read_text())
    chosen = summary["winner"]["settings"]
    assert summary["log_scaled"] == ["learning_rate", *(f"hidden_sizes.{k}" for k in (1, 2, 3))]
    config = (searched / "winner/config.yaml").read_text()
    assert f"activation: {chosen['activation']}" in config
    assert "n_validation: 0" in config
    assert "name: digits" in config
    recipe = yaml.safe_load((searched / "artifacts/search/recipe/winner.yaml").read_text())
    assert recipe["origin"] == {"study": summary["study"], "trial": summary["winner"]["trial"]}
    assert "origin" not in config


def test_a_search_in_which_nothing_completes_ends_with_5_and_the_reasons(tmp_path: Path) -> None:
    rates = ["space.dimensions.learning_rate.low=1e29", "space.dimensions.learning_rate.high=1e30"]
    done = door(tmp_path, "search", *SEARCH, "search.n_trials=3", "learning_rate=1e30", *rates)
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
    assert "the loss is" in done.stderr
    assert not (tmp_path / "artifacts").exists()


def test_a_fault_in_the_space_changes_nothing(tmp_path: Path) -> None:
    done = door(tmp_path, "search", *SEARCH, "space.dimensions.learning_rate.low=1", "search.n_trials=0")
    assert done.returncode == 2
    assert "search.n_trials: 0" in done.stderr
    assert "learning_rate" in done.stderr
    assert tree(tmp_path) == set()

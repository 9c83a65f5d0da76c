"""The door ``search``: a target to be reached, one parent with a child per trial, a winner to be rebuilt."""

import json
import shutil
from pathlib import Path

import pytest

from tests.pipeline.doors import door, tracked, tree

pytestmark = pytest.mark.slow
SEARCH = (
    "data=digits", "n_epochs=2", "hidden_sizes=[33]", "space.dimensions.hidden_sizes.width.high=40",
    "search.pruner=none", "winner.top_k=2", "winner.n_seeds=2",
)  # fmt: skip
CHILDREN = """select count(*) from tags as parent join tags as role using (run_uuid)
    where parent.key = 'mlflow.parentRunId' and role.key = 'role' and role.value = """
TRIALS, FINALISTS = f"{CHILDREN} 'trial'", f"{CHILDREN} 'finalist'"


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    done = door(folder, "search", *SEARCH, "search.n_trials=4")
    assert done.returncode == 0, done.stderr
    assert "rebuild the winner" in done.stdout
    return folder


def test_every_trial_is_a_child_of_the_study(searched: Path) -> None:
    assert tracked(searched, TRIALS) == [(4,)]
    assert tracked(searched, FINALISTS) == [(2,)]
    assert tracked(searched, "select distinct status from runs") == [("FINISHED",)]
    assert tracked(searched, "select count(*) from metrics where key = 'validation/accuracy'") == [(12,)]


def test_the_summary_tells_who_is_tied_and_the_files_can_be_read_by_the_report(searched: Path) -> None:
    from mlpsweep.evaluation.report_data import load_search

    told = json.loads((searched / "artifacts/search/summary.json").read_text())
    assert [len(one["values"]) for one in told["finalists"]] == [2, 2]
    assert told["winner"]["trial"] in told["tied"]
    search = load_search(searched / "artifacts/search")
    assert search is not None
    assert [one.is_winner for one in search.finalists].count(True) == 1
    assert {trial.worker for trial in search.trials} == {"worker 1"}
    figures = {path.stem for path in (searched / "artifacts/search").glob("*.png")}
    assert figures == {"history", "intermediate_values", "slices", "parallel_coordinates"}
    assert (searched / "artifacts/search.timeline.png").stat().st_size > 5000


def test_the_first_trial_is_the_published_baseline(searched: Path) -> None:
    query = """select params.value from params join tags using (run_uuid)
               where tags.key = 'trial' and tags.value = '0' and params.key = 'hidden_sizes'"""
    assert tracked(searched, query) == [("[33]",)]


def test_the_same_command_runs_nothing_and_a_higher_target_the_difference(searched: Path, tmp_path: Path) -> None:
    searched = shutil.copytree(searched, tmp_path / "copy")
    before = files(searched / "artifacts/search")
    assert door(searched, "search", *SEARCH, "search.n_trials=4").returncode == 0
    assert (tracked(searched, TRIALS), tracked(searched, FINALISTS)) == ([(4,)], [(2,)])
    assert files(searched / "artifacts/search") == before
    assert door(searched, "search", *SEARCH, "search.n_trials=5", "output_dir=more").returncode == 0
    assert tracked(searched, TRIALS) == [(5,)]
    assert tracked(searched, "select count(*) from runs where name like 'search%'") == [(1,)]


def test_the_winner_is_rebuilt_by_the_command_that_is_printed(searched: Path) -> None:
    words = ("--config-dir", "artifacts/search", "recipe=winner", "n_epochs=2", "output_dir=winner")
    done = door(searched, "train", *words)
    assert done.returncode == 0, done.stderr
    chosen = json.loads((searched / "artifacts/search/summary.json").read_text())["winner"]["settings"]
    config = (searched / "winner/config.yaml").read_text()
    assert f"activation: {chosen['activation']}" in config
    assert "n_validation: 0" in config
    assert "name: digits" in config


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

"""Recipes: every one composes and refuses a stand-in; the fast ones are met on the real files, and come again."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from pipeline.compose import check
from pipeline.published import PUBLISHED
from pipeline.settings import TrainJob
from tests.pipeline.doors import ROOT, door, tracked
from tests.pipeline.processes import count, end_of, started, wait_until

RECIPES = sorted(file.stem for file in (ROOT / "conf/recipe").glob("*.yaml"))
UNREACHABLE = "data.mirrors=[https://127.0.0.1:9/]"
# The mirrors of conf/ cannot be reached either where nobody is at the proxy.
NO_NETWORK = {"https_proxy": "http://127.0.0.1:9"}
FAST = "names=[full_batch_relu,per_sample_untrained]"


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_takes_all_its_rows_and_no_stand_in(recipe: str) -> None:
    (job,) = check("train", TrainJob, [f"recipe={recipe}"], multirun=False)
    data = job.settings.data
    assert (data.name, data.fallback, data.n_validation) == ("mnist", None, 0)
    assert job.settings.patience is None


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_command_line_goes_over_a_recipe(recipe: str) -> None:
    (job,) = check("train", TrainJob, ["learning_rate=0.125", f"recipe={recipe}", "seed=7"], multirun=False)
    assert (job.settings.learning_rate, job.settings.seed) == (0.125, 7)


@pytest.mark.slow
def test_a_recipe_ends_where_others_go_on_with_the_stand_in(tmp_path: Path) -> None:
    short = ("hidden_sizes=[8]", "n_epochs=1")
    assert door(tmp_path, "train", *short, **NO_NETWORK).returncode == 0
    refused = door(tmp_path, "train", "recipe=tanh_128", *short, **NO_NETWORK)
    assert refused.returncode == 3
    assert "holds digits, standing in for mnist; expected mnist" in refused.stderr


@pytest.mark.slow
def test_a_sweep_goes_on_with_the_stand_in_unless_it_names_the_data_set(tmp_path: Path) -> None:
    words = ("train", "hidden_sizes=[8]", "n_epochs=1", "-m", "seed=1,2")
    done = door(tmp_path, *words, **NO_NETWORK)
    assert done.returncode == 0, done.stderr
    for named in ("data=mnist", UNREACHABLE):
        refused = door(tmp_path, *words, named, **NO_NETWORK)
        assert refused.returncode == 3, refused.stderr
        assert "holds digits, standing in for mnist" in refused.stderr


@pytest.mark.slow
def test_a_recipe_makes_no_stand_in(tmp_path: Path) -> None:
    refused = door(tmp_path, "train", "recipe=tanh_128", UNREACHABLE)
    assert refused.returncode == 3
    assert not (tmp_path / "data/prepared/mnist/manifest.json").exists()


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the fast recipes were run, one of them in vain."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "outputs/recipes").mkdir(parents=True)
    (folder / "outputs/recipes/full_batch_relu-1.evaluation").write_text("in the way")
    done = recipes(folder, "seeds=[0,1]")
    assert done.returncode == 1, done.stderr
    assert "4 of 4" in done.stdout
    return folder


def recipes(folder: Path, *words: str):
    return door(folder, "recipes", FAST, *words, **real_files())


def real_files() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name == "MNIST_MIRROR"}


@pytest.mark.mnist
@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_stopped_recipes_leave_nothing_running(tmp_path: Path, number: int, code: int) -> None:
    words = ("recipes", "names=[full_batch_relu]", "seeds=[0,1,2]", "n_workers=2", "output_dir='models, here'")
    with started(tmp_path, *words, **real_files()) as process:
        wait_until(lambda: count(tmp_path, "select count(distinct run_uuid) from metrics") == 2, process)
        # Ctrl-C in a terminal reaches the whole group, `kill` only the process it names.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        ended = end_of(process)
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False), ended.stderr
    assert tracked(tmp_path, "select status, count(*) from runs group by status") == [("KILLED", 3)]
    assert tracked(tmp_path, "select distinct value from tags where key = 'reason'") == [("interrupted",)]
    assert not (tmp_path / "docs").exists()


@pytest.mark.mnist
@pytest.mark.slow
def test_the_fast_rows_are_met_and_a_failed_job_stopped_no_other(repeated: Path) -> None:
    page = (repeated / "docs/results.md").read_text().partition("## Time")[0]
    (full,) = re.findall(r"^\| `full_batch_relu` .*", page, re.MULTILINE)
    (untrained,) = re.findall(r"^\| `per_sample_untrained` .*", page, re.MULTILINE)
    assert "| yes |" in full
    assert "| yes |" in untrained
    # The fixture's own run and its jobs, whatever other tests ran since.
    ((run_id, status),) = tracked(
        repeated, "select run_uuid, status from runs where name = 'recipes' order by start_time limit 1"
    )
    assert status == "FAILED"
    children = f"select run_uuid from tags where key = 'mlflow.parentRunId' and value = '{run_id}'"
    assert tracked(repeated, f"select count(*) from tags where key = 'recipe' and run_uuid in ({children})") == [(4,)]


@pytest.mark.mnist
@pytest.mark.slow
def test_the_page_comes_again_without_a_difference_beyond_times(repeated: Path) -> None:
    def made(reuse: str) -> list[str]:
        done = recipes(repeated, "seeds=[0]", f"reuse={reuse}", "output_dir=again")
        assert done.returncode == 0, done.stderr
        records = [json.loads(file.read_text()) for file in (repeated / "again").glob("*.run.json")]
        assert len(records) == 2
        assert all(("reused_from" in record) == (reuse == "true") for record in records)
        return (repeated / "docs/results.md").read_text().split("## Time")

    taken, trained = made("true"), made("false")
    assert taken[0] == trained[0]
    assert len(taken) == len(trained) == 2


@pytest.mark.mnist
@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["manual_tanh", "manual_relu"])
def test_the_first_published_costs_are_met(recipe: str, repeated: Path) -> None:
    done = door(repeated, "train", f"recipe={recipe}", "n_epochs=2", f"output_dir={recipe}")
    assert done.returncode == 0, done.stderr
    record = json.loads((repeated / f"{recipe}.run.json").read_text())
    theirs = PUBLISHED[recipe]
    lines = (repeated / recipe / "history.csv").read_text().splitlines()
    column = lines[0].split(",").index("train/cost")
    first, second = (float(line.split(",")[column]) for line in lines[1:])
    assert first == pytest.approx(theirs.costs[0], rel=theirs.first_tolerance)
    assert second == pytest.approx(theirs.costs[1], rel=0.05)
    assert record["metrics"]["train/cost"] == second

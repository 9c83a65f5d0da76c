"""The door ``search``: a target to be reached, one parent with a child per trial, a winner to be rebuilt."""

import contextlib
import csv
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml

from mlpsweep.training.model import Model
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
    assert "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning" in done.stdout
    return folder


def test_every_trial_is_a_child_of_the_study(searched: Path) -> None:
    assert tracked(searched, CHILDREN) == [(4,)]
    assert tracked(searched, "select distinct status from runs") == [("FINISHED",)]
    assert tracked(searched, "select count(*) from metrics where key = 'validation/accuracy'") == [(8,)]


def test_the_study_says_what_it_searched_and_what_it_found(searched: Path) -> None:
    ((parent,),) = tracked(searched, "select run_uuid from runs where name like 'search%'")
    of_parent = f"from {{}} where run_uuid = '{parent}'"
    params = dict(tracked(searched, f"select key, value {of_parent.format('params')}"))
    assert {"sampler": "tpe", "pruner": "none", "n_trials": "4", "space.activation": "sigmoid, tanh, relu"}.items() <= (
        params.items()
    )
    best = tracked(searched, f"select step {of_parent.format('metrics')} and key = 'best/validation/accuracy'")
    assert sorted(best) == [(1,), (2,), (3,), (4,)]
    figures = dict(tracked(searched, f"select key, value {of_parent.format('latest_metrics')}"))
    summary = json.loads((searched / "artifacts/digits/search/summary.json").read_text())
    assert figures["winner/mean"] == pytest.approx(summary["winner"]["mean"])
    assert figures["ended/complete"] == 4
    note = dict(tracked(searched, f"select key, value {of_parent.format('tags')}"))["mlflow.note.content"]
    assert "python -m pipeline.train --config-dir artifacts/digits/search recipe=winner" in note
    assert (searched / "mlruns/digits" / parent / "artifacts/report.html").exists()


def test_a_trial_has_one_file_with_machine_and_versions(searched: Path) -> None:
    ((run_id,),) = tracked(searched, "select run_uuid from tags where key = 'trial' and value = '0'")
    told = json.loads((searched / "mlruns/digits" / run_id / "artifacts/run.json").read_text())
    assert {"numpy", "blas", "cpu", "host"} <= told["made_with"].keys()
    tags = [name for (name,) in tracked(searched, f"select key from tags where run_uuid = '{run_id}'")]
    assert len([name for name in tags if not name.startswith("mlflow.")]) <= 12
    note = f"select value from tags where run_uuid = '{run_id}' and key = 'mlflow.note.content'"
    assert tracked(searched, note)[0][0].endswith("Trial 0 of the search " + told["mine"]["study"] + ": complete.")


def test_trials_have_equal_weights_however_many_workers_there_are(tmp_path: Path) -> None:
    # Proposals of this sampler depend on nothing that was trained; the tables hold the weights' hashes.
    tables = []
    for n_workers in (1, 2, 4):
        folder = tmp_path / str(n_workers)
        folder.mkdir()
        words = ("search.sampler=random", "search.n_trials=8", f"search.n_workers={n_workers}")
        done = door(folder, "search", *SEARCH, *words)
        assert done.returncode == 0, done.stderr
        tables.append((folder / "artifacts/digits/search/trials.csv").read_bytes())
    assert b"weights_hash" in tables[0]
    assert tables[1:] == tables[:1] * 2


def test_trials_pause_within_their_first_epoch_and_the_weights_do_not_depend_on_it(tmp_path: Path) -> None:
    # Batches of two make an epoch of the digits long enough for a first look.
    words = ("data=digits", "n_epochs=8", "batch_size=2", "space.dimensions.hidden_sizes.width.high=40")
    words += ("search.sampler=random", "search.n_trials=7", "winner.top_k=2", "winner.n_seeds=1")
    found = {}
    for name in ("promote", "none"):
        (tmp_path / name).mkdir()
        done = door(tmp_path / name, "search", *words, f"search.pruner={name}")
        assert done.returncode == 0, done.stderr
        rows = csv.DictReader((tmp_path / name / "artifacts/digits/search/trials.csv").read_text().splitlines())
        found[name] = {row["number"]: row for row in rows}
    promoted, whole = found["promote"], found["none"]
    for number, row in promoted.items():
        values, all_values = (
            dict(pair.split(":") for pair in one["intermediate"].split()) for one in (row, whole[number])
        )
        assert "0" in values
        assert "0" not in all_values
        assert {**all_values, **values} == {"0": values["0"], **all_values}
        if row["state"] == "complete":
            assert row["weights_hash"] == whole[number]["weights_hash"]
    looked = [number for number, row in promoted.items() if row["n_epochs"] == "0"]
    assert looked
    assert {promoted[number]["reason"] for number in looked} == {"paused in epoch 1"}
    points = """select metrics.value, step from metrics join tags using (run_uuid)
        where metrics.key = 'validation/accuracy' and tags.key = 'trial' and tags.value = """
    for number in looked:
        ((value, step),) = tracked(tmp_path / "promote", f"{points}'{number}'")
        assert (step, promoted[number]["intermediate"]) == (0, f"0:{value!r}")
    assert "all is well" in door(tmp_path / "promote", "doctor").stdout
    # A look that the store lost is sent again, from the trial's folder.
    before = tracked(tmp_path / "promote", "select key, value, step from metrics order by 1, 2, 3")
    with contextlib.closing(sqlite3.connect(tmp_path / "promote/mlflow.db")) as store, store:
        store.execute("delete from metrics where key = 'validation/accuracy' and step = 0")
    assert "lacks 1 point" in door(tmp_path / "promote", "doctor").stdout
    door(tmp_path / "promote", "doctor", "fix=true")
    after = tracked(tmp_path / "promote", "select key, value, step from metrics order by 1, 2, 3")
    n_further = len(promoted) - len(looked)  # their curves go on, and the look is in their tables alone
    assert len(after) == len(before) - n_further
    assert "all is well" in door(tmp_path / "promote", "doctor").stdout


def test_the_first_trial_is_the_published_baseline(searched: Path) -> None:
    query = """select params.value from params join tags using (run_uuid)
               where tags.key = 'trial' and tags.value = '0' and params.key = 'hidden_sizes'"""
    assert tracked(searched, query) == [("[33]",)]


def test_the_same_command_runs_nothing_and_a_higher_target_the_difference(searched: Path, tmp_path: Path) -> None:
    searched = repoint(shutil.copytree(searched, tmp_path / "copy"))
    before = (searched / "artifacts/digits/search/summary.json").read_bytes()
    assert door(searched, "search", *SEARCH, "search.n_trials=4").returncode == 0
    assert tracked(searched, CHILDREN) == [(4,)]
    assert (searched / "artifacts/digits/search/summary.json").read_bytes() == before
    assert door(searched, "search", *SEARCH, "search.n_trials=5", "output_dir=more").returncode == 0
    assert tracked(searched, CHILDREN) == [(5,)]
    assert tracked(searched, "select count(*) from runs where name like 'search%'") == [(1,)]
    best = "select step from metrics where key = 'best/validation/accuracy' order by step"
    assert tracked(searched, best) == [(1,), (2,), (3,), (4,), (5,)]
    assert tracked(searched, "select value from latest_metrics where key = 'ended/complete'") == [(5.0,)]


def test_the_winner_is_rebuilt_by_the_command_that_is_printed(searched: Path) -> None:
    words = ("--config-dir", "artifacts/digits/search", "recipe=winner", "n_epochs=2", "output_dir=winner")
    done = door(searched, "train", *words)
    assert done.returncode == 0, done.stderr
    summary = json.loads((searched / "artifacts/digits/search/summary.json").read_text())
    chosen = summary["winner"]["settings"]
    assert summary["log_scaled"] == ["learning_rate", *(f"hidden_sizes.{k}" for k in (1, 2, 3))]
    config = (searched / "winner/config.yaml").read_text()
    assert f"activation: {chosen['activation']}" in config
    assert "n_validation: 0" in config
    assert "name: digits" in config
    recipe = yaml.safe_load((searched / "artifacts/digits/search/recipe/winner.yaml").read_text())
    assert recipe["origin"] == {"study": summary["study"], "trial": summary["winner"]["trial"]}
    assert "origin" not in config


def test_a_group_is_searched_and_its_winner_rebuilt_bit_by_bit(tmp_path: Path) -> None:
    group = "{type:group,choices:{momentum:{nesterov:false,momentum:{type:float,low:0.8,high:0.9}}}}"
    rate = "{type:float,low:0.05,high:0.5,log:true}"
    space = f"space.dimensions={{learning_rate:{rate},optimizer:{group}}}"
    words = (
        "data=digits",
        "n_epochs=2",
        "hidden_sizes=[33]",
        "winner.top_k=1",
        "winner.n_seeds=1",
        "learning_rate=0.5",
    )
    done = door(tmp_path, "search", *words, space, "search.n_trials=2")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "artifacts/digits/search/summary.json").read_text())
    won, chosen = summary["winner"], summary["winner"]["settings"]
    assert chosen["optimizer"] == "momentum"
    assert all(f"wider: {one['override']}" in done.stdout for one in summary["edges"])
    header, *rows = (tmp_path / "artifacts/digits/search/trials.csv").read_text().splitlines()
    assert {"params.optimizer", "params.optimizer.momentum@momentum"} <= set(header.split(","))
    ((parent,),) = tracked(tmp_path, "select run_uuid from runs where name like 'search%'")
    params = dict(tracked(tmp_path, f"select key, value from params where run_uuid = '{parent}'"))
    assert params["space.optimizer"] == "momentum"
    assert params["space.optimizer.momentum with momentum"] == "0.8 .. 0.9"
    # The trial's rows, budget and seed give the trial's weights.
    seed = dict(zip(header.split(","), rows[won["trial"]].split(","), strict=True))["seed"]
    trial = ("monitor=validation", "data.n_validation=300", "n_epochs=2", f"seed={seed}", "output_dir=again")
    done = door(tmp_path, "train", "--config-dir", "artifacts/digits/search", "recipe=winner", *trial, "reuse=false")
    assert done.returncode == 0, done.stderr
    assert Model.load(tmp_path / "again/model.npz").weights_hash == won["weights_hash"]


def test_workers_of_a_launcher_search_the_groups_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "more/optimizer").mkdir(parents=True)
    (tmp_path / "more/optimizer/heavy.yaml").write_text("name: momentum\nmomentum: 0.97\nnesterov: true\n")
    (tmp_path / "more/space").mkdir()
    space = "dimensions: {optimizer: {type: group, choices: {heavy: {}, adam: {}, sgd: {}}}}\n"
    (tmp_path / "more/space/mine.yaml").write_text(space)
    own = ("space=mine", "optimizer=adam", "optimizer.beta_1=0.5")
    words = ("--config-dir", "more", *SEARCH[:3], *SEARCH[4:], *own)
    for more in (["search.n_trials=1"], ["-m", "worker=0,1", "search.n_trials=3", "output_dir=more_trials"]):
        done = door(tmp_path, "search", *words, *more)
        assert done.returncode == 0, done.stderr
    assert tracked(tmp_path, "select count(*) from runs where name like 'search%'") == [(1,)]
    query = "select key, value from params where key in ('optimizer.momentum', 'optimizer.beta_1')"
    assert set(tracked(tmp_path, query)) <= {("optimizer.momentum", "0.97"), ("optimizer.beta_1", "0.5")}
    assert tracked(tmp_path, CHILDREN) == [(3,)]


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


def test_two_projects_with_one_store_and_one_search_keep_their_runs_apart(tmp_path: Path) -> None:
    words = ("search", *SEARCH, "search.n_trials=2", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        done = door(tmp_path / name, *words)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("warning") == 0
    trials = """select parents.value, count(*), count(distinct folders.value) from tags as roles
                join tags as parents using (run_uuid) join tags as folders using (run_uuid)
                where roles.key = 'role' and roles.value = 'trial' and parents.key = 'mlflow.parentRunId'
                and folders.key = 'folder' group by parents.value"""
    assert [counts for _, *counts in tracked(tmp_path, trials)] == [[2, 2], [2, 2]]


def test_a_study_made_again_after_it_was_deleted_has_its_own_runs(searched: Path, tmp_path: Path) -> None:
    searched = repoint(shutil.copytree(searched, tmp_path / "copy"))
    (searched / "mlruns/optuna.db").unlink()
    done = door(searched, "search", *SEARCH, "search.n_trials=3")
    assert done.returncode == 0, done.stderr
    study = json.loads((searched / "artifacts/digits/search/summary.json").read_text())["study"]
    compared = door(searched, "compare", f"sweep={study}", "output_dir=compared")
    assert compared.returncode == 0, compared.stderr
    assert len((searched / "compared/comparison.csv").read_text().splitlines()) == 1 + 3

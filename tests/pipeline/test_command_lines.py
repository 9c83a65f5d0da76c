"""Odd command lines that are right: odd folders, groups that are swept or left out, readers that leave, no git."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.pipeline.doors import PATHS, TINY, door, own_environment, tracked, tree

pytestmark = pytest.mark.slow
ONE = (*TINY[:3], "n_epochs=1")


def settings(folder: Path) -> dict[str, object]:
    values: dict[str, object] = yaml.safe_load((folder / "config.yaml").read_text())
    return values


@pytest.mark.parametrize("word", ["output_dir=.", "hydra.run.dir=.", "output_dir=x/..", "output_dir=new/er"])
def test_a_training_writes_into_the_folder_that_is_named_however_it_is_typed(tmp_path: Path, word: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = door(home, "train", *ONE, word)
    assert done.returncode == 0, done.stderr
    folder = (home / word.partition("=")[2]).resolve()
    assert settings(folder)["n_epochs"] == 1
    assert (folder.parent / f"{folder.name}.run.json").is_file()


def test_a_model_in_the_current_folder_is_evaluated_and_verified(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for words in (("train", *ONE, "output_dir=."), ("evaluate", "model_dir=."), ("verify", "model_dir=.")):
        done = door(home, *words)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "home.evaluation/metrics.json").is_file()


@pytest.mark.parametrize(
    ("launcher", "name"), [("basic", "a [1st] {x}=y"), ("joblib", "o'brien, jr/s"), ("basic", ".")]
)
def test_a_sweep_writes_into_the_folder_that_is_named(tmp_path: Path, launcher: str, name: str) -> None:
    for seeds in ("1,2", "3,4"):
        words = (f"hydra/launcher={launcher}", "-m", f"seed={seeds}", f'hydra.sweep.dir="{name}"')
        done = door(tmp_path, "train", *ONE, *words)
        assert done.returncode == 0, done.stderr
    folder, first = tmp_path / name, "1" if name != "." else "3"
    assert [str(settings(folder / job)["seed"]) for job in "01"] == [first, str(int(first) + 1)]
    assert (tmp_path / f"{name}-1/0/config.yaml").is_file() == (name != ".")


@pytest.mark.parametrize(
    ("word", "key", "values"),
    [
        ("optimizer=glob(*)", "optimizer", ["adam", "momentum", "sgd"]),
        ("recipe=null,manual_tanh,[manual_tanh,manual_relu]", "recipe", ["sigmoid", "tanh", "relu"]),
    ],
)
def test_a_group_is_swept(tmp_path: Path, word: str, key: str, values: list[str]) -> None:
    done = door(tmp_path, "train", "data=digits", "n_epochs=1", "hidden_sizes=[8]", "-m", word, "hydra.sweep.dir=s")
    assert done.returncode == 0, done.stderr
    of_jobs = [settings(tmp_path / "s" / str(number)) for number in range(len(values))]
    found = [one["activation"] if key == "recipe" else one[key]["name"] for one in of_jobs]  # type: ignore[index]
    assert found == values


def test_a_recipe_is_swept_over_choices_that_it_replaced(tmp_path: Path) -> None:
    words = ("data=digits", "recipe=strong", "n_epochs=1", "hidden_sizes=[8]", "-m", "optimizer=glob(*)")
    done = door(tmp_path, "train", *words, "hydra.sweep.dir=s")
    assert done.returncode == 0, done.stderr
    found = [settings(tmp_path / "s" / str(number))["optimizer"] for number in range(3)]
    decays = [(one["name"], one.get("weight_decay")) for one in found]  # type: ignore[attr-defined, index]
    assert decays == [("adam", 0.1), ("momentum", None), ("sgd", None)]


def test_a_shuffled_sweep_is_shuffled_once(tmp_path: Path) -> None:
    # A job that fails says which one it is: its words and its settings must agree.
    done = door(tmp_path, "train", *ONE[:3], "-m", "learning_rate=shuffle(1e30,1e29,1e28)", "hydra.sweep.dir=s")
    assert done.returncode == 5
    told = sorted(line.split(": ")[1] for line in done.stderr.splitlines() if line.startswith("error: job "))
    rates = [line.partition("learning_rate=")[2].rstrip(")") for line in told]
    table = [line for line in done.stdout.splitlines() if line.endswith("diverged")]
    assert len(rates) == len(table) == 3
    assert [f"{float(rate):g}" in row for rate, row in zip(rates, table, strict=True)] == [True] * 3


def test_a_sweep_that_is_stopped_by_its_launcher_names_the_jobs_that_never_began(tmp_path: Path) -> None:
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.launcher.timeout=0.001")
    done = door(tmp_path, "train", *ONE, "-m", "seed=1,2", *launcher)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "never began" in done.stdout
    assert "out of memory" not in done.stdout


def test_a_faulty_job_is_named(tmp_path: Path) -> None:
    done = door(tmp_path, "train", *ONE[:3], "-m", "learning_rate=0.1,1e30", "hydra.sweep.dir=s")
    assert done.returncode == 5
    assert "error: job 1 (" in done.stderr
    assert json.loads((tmp_path / "s/1/outcome.json").read_text())["messages"][0].startswith("training: the loss is")


@pytest.mark.parametrize("flags", [("--cfg", "job"), ("--cfg=all",), ("--info", "defaults"), ("--hydra-help",)])
def test_what_hydra_is_asked_it_answers(tmp_path: Path, flags: tuple[str, ...]) -> None:
    done = door(tmp_path, "train", "recipe=null", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) > 100
    assert tree(tmp_path) == set()


def test_without_git_a_training_is_tracked(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    done = door(tmp_path, "train", *ONE, cold=True, PATH=str(tmp_path / "bin"))
    assert (done.returncode, re.findall(r"(?i)\bgit", done.stderr)) == (0, [])
    assert tracked(tmp_path, "select status from runs") == [("FINISHED",)]


def test_a_table_into_head_is_quiet(tmp_path: Path) -> None:
    assert door(tmp_path, "train", *ONE, "-m", "seed=1,2", "hydra.sweep.dir=s").returncode == 0
    command = 'set -o pipefail; "$0" -m pipeline.compare sweep=s output_dir=c | true'
    environment = own_environment() | PATHS
    done = subprocess.run(
        ["bash", "-c", command, sys.executable],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "c/comparison.csv").is_file()

"""Command lines become jobs: which, in which order, and what is refused before any of them is composed."""

from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from mlpsweep.errors import SettingsError
from pipeline.compose import CONF, check
from pipeline.settings import TrainJob

MANUAL = ["manual_relu", "manual_sigmoid", "manual_tanh"]


def overrides(*words: str, config_dir: Path | None = None) -> list[str]:
    jobs = check("train", TrainJob, words, multirun=True, config_dir=str(config_dir) if config_dir else None)
    return [" ".join(job.overrides) for job in jobs]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seed=1"], ["seed=1"]),
        (["seed=1,2", "n_epochs=3,4"], [f"seed={seed} n_epochs={n}" for seed in (1, 2) for n in (3, 4)]),
        (["seed=range(9,1,-3)"], ["seed=9", "seed=6", "seed=3"]),
        (["learning_rate=range(0.5,2,0.5)"], ["learning_rate=0.5", "learning_rate=1.0", "learning_rate=1.5"]),
        (["seed=sort(choice(3,1,2))"], ["seed=1", "seed=2", "seed=3"]),
        (["hidden_sizes=[64],[128,64]"], ["hidden_sizes=[64]", "hidden_sizes=[128,64]"]),
        (["tracking.experiment='a, b',c"], ["tracking.experiment='a, b'", "tracking.experiment=c"]),
        (["seed=1,2", "n_epochs=3", "seed=4,5"], ["seed=4 n_epochs=3", "seed=5 n_epochs=3"]),
        (["optimizer=glob(*)"], ["optimizer=adam", "optimizer=momentum", "optimizer=sgd"]),
        (["recipe=glob(manual_*)"], [f"recipe={name}" for name in MANUAL]),
        (["recipe=glob(manual_*,exclude=*tanh)"], [f"recipe={name}" for name in MANUAL[:2]]),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_sweep_is_the_product_of_its_values_in_order(words: list[str], expected: list[str]) -> None:
    assert overrides(*words) == expected


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("seed=range(1,1)", r"seed=range\(1,1\): no value to run"),
        ("seed=range(0,2,0)", r"seed=range\(0,2,0\): no value to run"),
        ("recipe=glob(nothing*)", "no value to run"),
        ("seed=glob(*)", "no value to run"),
        ("seed=range(0,100000000000)", "100000000000 jobs; expected at most 1000"),
        ("learning_rate=range(0.0,1e30,0.5)", "jobs; expected at most 1000"),
        ("learning_rate=range(0.0,inf)", "inf jobs; expected at most 1000"),
        ("recipe=null,manual_tanh", "recipe: None is not known"),
    ],
)
def test_what_cannot_be_run_is_refused_without_being_listed(word: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        overrides(word)


def test_a_recipe_that_is_null_is_none() -> None:
    (plain,), (null,) = (check("train", TrainJob, words, multirun=False) for words in ([], ["recipe=null"]))
    assert null.settings == plain.settings


@pytest.mark.parametrize("name", ["plain", "it's a folder", "a,b=[c]"])
def test_files_of_a_config_dir_are_found_after_ours(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "recipe"
    folder.mkdir(parents=True)
    for recipe in ("mine", "manual_tanh"):
        (folder / f"{recipe}.yaml").write_text("# @package _global_\nlearning_rate: 0.625\n")
    words = ("recipe=mine,manual_tanh",)
    mine, ours = check("train", TrainJob, words, multirun=True, config_dir=str(tmp_path / name))
    (alone,) = check("train", TrainJob, ["recipe=manual_tanh"], multirun=False)
    assert (mine.settings.learning_rate, ours.settings) == (0.625, alone.settings)
    assert overrides("recipe=glob(m*)", config_dir=tmp_path / name) == [f"recipe={name}" for name in [*MANUAL, "mine"]]


def test_folders_of_hydra_are_settled_with_everything_else() -> None:
    (job,) = check("train", TrainJob, ["hydra.run.dir=somewhere"], multirun=False)
    (swept,) = check("train", TrainJob, ["hydra.sweep.dir=elsewhere"], multirun=True)
    assert (job.folder, swept.folder) == ("somewhere", "elsewhere")
    with pytest.raises(SettingsError, match=r"(?s)hydra.run.dir: .*nope.*seed: -1"):
        check("train", TrainJob, ["hydra.run.dir=${nope}", "seed=-1"], multirun=False)
    with pytest.raises(SettingsError, match="hydra.sweep.dir: "):
        check("train", TrainJob, ["hydra.sweep.dir=???"], multirun=True)


def test_a_hydra_that_runs_goes_on_afterwards() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        running = GlobalHydra.instance().hydra
        assert overrides("seed=1,2") == ["seed=1", "seed=2"]
        assert GlobalHydra.instance().hydra is running is not None

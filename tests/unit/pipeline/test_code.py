"""Files of a configuration name no code: refused before it is run, wherever it stands."""

from pathlib import Path

import pytest

from mlpsweep.errors import SettingsError
from pipeline import train
from pipeline.compose import check
from pipeline.door import asked
from pipeline.settings import TrainJob

MKDIR = "{_target_: os.mkdir, path: made}"
CALLS = {
    "callback": (f"hydra: {{callbacks: {{x: {MKDIR}}}}}", "hydra.callbacks.x._target_"),
    "launcher": ("hydra: {launcher: {_target_: os.mkdir}}", "hydra.launcher._target_"),
    "sweeper": ("hydra: {sweeper: {_target_: os.mkdir}}", "hydra.sweeper._target_"),
    "handler": ("hydra: {job_logging: {handlers: {x: {(): os.mkdir, path: made}}}}", "hydra.job_logging.handlers.x"),
    "class": ("hydra: {hydra_logging: {handlers: {x: {class: os.mkdir}}}}", "hydra.hydra_logging.handlers.x.class"),
    "environment": ("hydra: {job: {env_set: {PYTHONSTARTUP: evil.py}}}", "hydra.job.env_set.PYTHONSTARTUP"),
    "folder of jobs": ("hydra: {job: {chdir: true}}", "hydra.job.chdir"),
    "data": (f"data: {{files: {{train_images: {MKDIR}}}}}", "data.files.train_images._target_"),
}


@pytest.mark.parametrize(("text", "key"), CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("more", [(), ("-m", "seed=1,2"), ("--cfg", "job")], ids=["run", "sweep", "cfg"])
def test_a_file_that_names_code_is_refused(
    text: str, key: str, more: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cd/recipe").mkdir(parents=True)
    (tmp_path / "cd/recipe/evil.yaml").write_text(f"# @package _global_\n{text}\n")
    monkeypatch.chdir(tmp_path)
    words = ["data=digits", "--config-dir", "cd", "recipe=evil", *more]
    with pytest.raises(SettingsError, match="configuration may not name code") as told:
        asked(train.DOOR, words)()
    assert any(message.startswith(f"{key}") for message in told.value.messages), told.value.messages
    assert [path.name for path in tmp_path.iterdir()] == ["cd"]


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_launchers_of_hydra_are_taken(launcher: str) -> None:
    assert check("train", TrainJob, ["data=digits", f"hydra/launcher={launcher}"], multirun=False)


def test_a_launcher_of_ones_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hydra/launcher").mkdir(parents=True)
    (tmp_path / "hydra/launcher/mine.yaml").write_text("_target_: os.mkdir\n")
    with pytest.raises(SettingsError, match=r"hydra.launcher._target_: 'os.mkdir' in a file"):
        check("train", TrainJob, ["hydra/launcher=mine"], multirun=False, config_dir=str(tmp_path))


def test_a_launchers_commands_are_refused_in_a_file(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="pip install 'mlpsweep[slurm]'")
    (tmp_path / "recipe").mkdir()
    commands = "{launcher: {setup: [touch made], timeout_min: 240}}"
    (tmp_path / "recipe/evil.yaml").write_text(f"# @package _global_\nhydra: {commands}\n")
    words = ["data=digits", "hydra/launcher=submitit_slurm", "recipe=evil"]
    with pytest.raises(SettingsError, match=r"hydra.launcher.setup.0: 'touch made' in a file") as told:
        check("train", TrainJob, words, multirun=True, config_dir=str(tmp_path))
    assert len(told.value.messages) == 1


def test_files_may_change_what_the_command_line_may(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/mine.yaml").write_text(
        "# @package _global_\nhydra: {run: {dir: outputs/mine}, verbose: true}\n"
    )
    (job,) = check("train", TrainJob, ["data=digits", "recipe=mine"], multirun=False, config_dir=str(tmp_path))
    assert job.folder == "outputs/mine"

"""Folders that are written: new ones, empty ones, our own; no other, and nothing is opened before that is known."""

from pathlib import Path

import pytest

from mlpsweep.config import to_yaml
from mlpsweep.errors import SettingsError
from mlpsweep.files import write_json
from mlpsweep.settings import DataSettings, TrainSettings
from mlpsweep.training.folder import RunRecord, TrainingFolder
from pipeline import compare, evaluate, search, train
from pipeline.door import Door, asked

ROOT = Path(__file__).parents[3]
DIGITS = ("data=digits", "n_epochs=1", "hidden_sizes=[8]")


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")


def foreign(folder: Path, name: str = "config.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("mine: true\n")
    return folder


def trained(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text(to_yaml(TrainSettings(data=DataSettings.named("digits"))))
    return folder


DOORS = {
    "train": (train.DOOR, DIGITS),
    "search": (search.DOOR, ("data=digits", "search.n_trials=3")),
    "evaluate": (evaluate.DOOR, ("model_dir=m",)),
    "compare": (compare.DOOR, ("sweep=jobs",)),
}
each_door = pytest.mark.parametrize(("door", "words"), DOORS.values(), ids=DOORS)


@each_door
@pytest.mark.parametrize(
    "name", ["config.yaml", "notes.txt", "metrics.json", "trials.csv", "summary.json", "model.npz"]
)
def test_a_folder_with_the_files_of_another_is_refused(door: Door, words: tuple[str, ...], name: str) -> None:
    foreign(Path("theirs"), name)
    Path("link").symlink_to("theirs")
    for folder in ("theirs", "link"):
        with pytest.raises(
            SettingsError, match=f"^output_dir: {folder} holds {name}, which no command .*expected a new"
        ):
            asked(door, [*words, f"output_dir={folder}"])
    assert (Path("theirs") / name).read_text() == "mine: true\n"
    assert {path.name for path in Path().iterdir()} == {"theirs", "link"}


@each_door
def test_new_and_empty_folders_and_our_own_are_taken(door: Door, words: tuple[str, ...], tmp_path: Path) -> None:
    Path("empty").mkdir()
    Path("to empty").symlink_to("empty")
    trained(Path("ours"))
    foreign(Path("ours"), "notes.txt")
    Path("to ours").symlink_to("ours")
    Path("killed").mkdir()
    (Path("killed") / ".model.npz.x7.part").write_bytes(b"half")
    (Path("begun")).mkdir()
    (Path("begun") / "model.npz").write_bytes(b"whole")
    TrainingFolder(Path("begun")).write_record(RunRecord("f" * 32, "relu"))
    for folder in ("new", "empty", "'to empty'", "ours", "'to ours'", "killed", "begun", "new/../empty"):
        asked(door, [*words, f"output_dir={folder}"])
    asked(door, [*words, f"output_dir={tmp_path}/elsewhere"])


@each_door
def test_a_folder_outside_is_named_in_full(door: Door, words: tuple[str, ...], tmp_path: Path) -> None:
    for folder in ("..", "../x", "a/../../x"):
        with pytest.raises(
            SettingsError, match=r"^output_dir: \S+ lies outside the folder of the command; .*named in f"
        ):
            asked(door, [*words, f"output_dir={folder}"])
    asked(door, [*words, f"output_dir={tmp_path}/x"])


def test_folders_of_hydra_are_looked_at_too() -> None:
    for words in (["hydra.run.dir=../x"], ["-m", "seed=1,2", "hydra.sweep.dir=../x"]):
        with pytest.raises(SettingsError, match="lies outside the folder of the command"):
            asked(train.DOOR, [*DIGITS, *words])
    foreign(Path("0"))
    with pytest.raises(SettingsError, match=r"^hydra.sweep.dir: 0 holds config.yaml"):
        asked(train.DOOR, [*DIGITS, "-m", "seed=1,2", "hydra.sweep.dir=."])


def test_the_folder_of_the_project_is_taken_unless_a_file_would_be_replaced() -> None:
    foreign(Path(), "README.md")
    asked(train.DOOR, [*DIGITS, "output_dir=."])
    asked(train.DOOR, [*DIGITS, "hydra.run.dir=."])
    foreign(Path())
    for word in ("output_dir=.", "hydra.run.dir=."):
        with pytest.raises(SettingsError, match=r": \. holds config.yaml"):
            asked(train.DOOR, [*DIGITS, word])


def test_an_evaluation_beside_the_model_is_not_written_over_the_files_of_another() -> None:
    foreign(Path("m.evaluation"), "metrics.json")
    with pytest.raises(SettingsError, match="^model_dir: .*m.evaluation holds metrics.json"):
        asked(evaluate.DOOR, ["model_dir=m"])


@pytest.mark.parametrize("root", ["/", "//", "/..", "/usr/.."])
def test_nothing_lies_beside_the_root_of_all_files(root: str) -> None:
    with pytest.raises(SettingsError, match="^/.*: the root of all files; expected a folder below it"):
        asked(evaluate.DOOR, [f"model_dir={root}"])


def test_earlier_outputs_of_each_kind_are_ours(artifacts: Path) -> None:
    for name in ("comparison.csv", "comparison.html", "comparison.png"):
        foreign(Path("compared"), name)
    Path("found").mkdir()
    write_json(Path("found/summary.json"), {"study": "digits-1", "metric": "validation/accuracy"})
    for folder in (artifacts / "evaluate/relu", Path("compared"), Path("found")):
        asked(train.DOOR, [*DIGITS, f"output_dir='{folder}'"])

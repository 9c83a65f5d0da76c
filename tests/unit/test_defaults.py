"""What conf/ says is what the settings classes say, so that the command line and Python start from the same values."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlpsweep.config import plain
from mlpsweep.schema import Family, Settings
from mlpsweep.settings import AugmentSettings, DataSettings, OptimizerSettings, ScheduleSettings
from pipeline import settings as jobs

CONF = Path(__file__).resolve().parents[2] / "conf"
ROOTS: dict[str, type[Settings]] = {
    "compare": jobs.CompareJob,
    "doctor": jobs.DoctorJob,
    "evaluate": jobs.EvaluateJob,
    "recipes": jobs.RecipesJob,
    "search": jobs.SearchJob,
    "train": jobs.TrainJob,
    "verify": jobs.VerifyJob,
}
GROUPS: dict[str, type[Family]] = {
    "augment": AugmentSettings,
    "optimizer": OptimizerSettings,
    "schedule": ScheduleSettings,
}
# What must be given: a choice of a file, or null where the command line has to say it.
GIVEN = {"data", "space", "model_dir"}
# The search begins with short trials, for which a falling rate is worth most (docs/adr/0007), judges them by averaged
# weights (docs/adr/0015), and goes on in the same folder each time.
OWN = {
    "search": {
        "averaging": 0.99,
        "schedule": plain(ScheduleSettings.members["cosine"]()),
        "output_dir": "artifacts/${data.name}/search",
    }
}
FILES = sorted(file for file in CONF.rglob("*.yaml") if file.parent.name != "recipe")


def read(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    return values


def composed(root: str) -> dict[str, Any]:
    values = read(root)
    merged: dict[str, Any] = {}
    for entry in values.pop("defaults"):
        for group, choice in entry.items() if isinstance(entry, dict) else ():
            if choice and (CONF / group.removeprefix("override /")).is_dir():
                merged[group.removeprefix("override /")] = read(f"{group.removeprefix('override /')}/{choice}")
        if isinstance(entry, str) and entry != "_self_":
            merged |= composed(entry)
    values.pop("hydra", None)
    return merged | values


def defaults(kind: type[Settings]) -> dict[str, Any]:
    values = {field.name: field.default for field in dataclasses.fields(kind) if field.name not in GIVEN}
    return {
        name: plain(value) if isinstance(value, Settings) else list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
    }


def test_every_root_is_here() -> None:
    assert {file.stem for file in CONF.glob("*.yaml")} == ROOTS.keys()


@pytest.mark.parametrize("root", sorted(ROOTS))
def test_a_root_says_what_its_class_says(root: str) -> None:
    values = composed(root)
    assert values.keys() == {field.name for field in dataclasses.fields(ROOTS[root])}
    assert {name: value for name, value in values.items() if name not in GIVEN} == {
        **defaults(ROOTS[root]),
        **OWN.get(root, {}),
    }
    assert values.get("model_dir") is None


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, family in GROUPS.items() for name in family.members], ids=str
)
def test_a_groups_file_says_what_its_class_says(group: str, name: str) -> None:
    assert read(f"{group}/{name}") == plain(GROUPS[group].members[name]())


@pytest.mark.parametrize("name", [file.stem for file in (CONF / "data").glob("*.yaml")])
def test_a_data_sets_file_gives_what_a_command_may_change_in_the_order_of_the_fields(name: str) -> None:
    given, fields = list(read(f"data/{name}")), dataclasses.fields(DataSettings)
    assert given == [field.name for field in fields if field.name in given]
    embedded = {"mirrors", "path"} if read(f"data/{name}")["format"] == "sklearn" else set()
    typed = {field.name for field in fields if field.metadata["typed"]} - embedded
    assert typed | {"title", "source", "licence", "format", "files"} <= set(given)


@pytest.mark.parametrize("name", [file.stem for file in (CONF / "data").glob("*.yaml")])
def test_a_data_set_is_called_as_its_file(name: str) -> None:
    assert read(f"data/{name}")["name"] == name


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CONF)))
def test_every_value_has_a_comment(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if ": " in line and not line.startswith(("#", "  - "))]
    plain = ("name:", "title:", "source:", "licence:", "class_names:", "  train", "  test")
    assert [line for line in lines if "#" not in line and not line.startswith(plain)] == []


def test_the_first_entry_is_the_data_set_for_dvc_reads_it_by_its_place() -> None:
    assert list(read("train")["defaults"][0]) == ["data"]
    assert "${defaults[0].data}" in (CONF.parent / "dvc.yaml").read_text()

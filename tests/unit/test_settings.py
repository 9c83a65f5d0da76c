"""Settings: each rule, every fault at once, full paths, nearest names."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlpsweep.errors import SettingsError
from mlpsweep.schema import Family
from mlpsweep.settings import (
    AdamSettings,
    DataSettings,
    MomentumSettings,
    OptimizerSettings,
    ScheduleSettings,
    TrainSettings,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def values() -> dict[str, Any]:
    return complete()


def complete() -> dict[str, Any]:
    return {
        "activation": "relu", "hidden_sizes": [8, 4],
        "initializer": "he_normal", "init_std": None, "bias_init": "zeros",
        "learning_rate": 1, "l2_lambda": 0.0, "batch_size": 4, "drop_last": False, "shuffle": True, "n_epochs": None,
        "dropout": 0.0, "averaging": None, "patience": None, "monitor": "validation", "monitor_every": None,
        "log_every": 10, "seed": 0, "threads": 1, "report_cost": False,
        "input_dropout": 0.0, "augment": {"name": "none"},
        "optimizer": {"name": "sgd"}, "schedule": {"name": "constant"},
        "data": {
            "name": "digits", "mirrors": [], "files": {}, "fallback": None, "scaling": "unit", "n_epochs": 7,
            "n_train": None, "n_validation": 300, "n_test": None,
        },
    }  # fmt: skip


def test_values_get_their_final_types(values: dict[str, Any]) -> None:
    settings = TrainSettings.build(values)
    assert settings.hidden_sizes == (8, 4)
    assert isinstance(settings.learning_rate, float)
    assert settings.activations == ("relu", "relu")
    assert settings.total_epochs == 7


def test_a_group_becomes_the_member_it_names(values: dict[str, Any]) -> None:
    values["optimizer"] = {"name": "momentum", "momentum": 0.5, "nesterov": False}
    assert TrainSettings.build(values).optimizer == MomentumSettings(name="momentum", momentum=0.5, nesterov=False)


ODD = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=200) | st.integers(-(10**400), 10**400)
    | st.sampled_from([10**400, -(10**400), 2**63, 1e308]),
    lambda inner: st.lists(inner, max_size=60) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(name=st.sampled_from([field.name for field in fields(TrainSettings)]), odd=ODD)
def test_any_value_in_any_place_is_taken_or_refused_in_a_line_to_read(name: str, odd: Any) -> None:
    messages: tuple[str, ...] = ()
    try:
        TrainSettings.build({**complete(), name: odd})
    except SettingsError as error:
        messages = tuple(error.messages)
    assert all(name in message and len(message) < 1000 for message in messages)


def test_settings_are_frozen(values: dict[str, Any]) -> None:
    with pytest.raises(AttributeError, match="learning_rate"):
        TrainSettings.build(values).learning_rate = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0}, r"learning_rate: 0 does not fit; expected a finite number > 0"),
        ({"learning_rate": float("inf")}, r"learning_rate: inf does not fit"),
        ({"learning_rate": "1e-3"}, r"learning_rate: '1e-3' does not fit"),
        ({"learning_rate": True}, r"learning_rate: True does not fit"),
        ({"l2_lambda": -1}, r"l2_lambda: -1 does not fit; expected a finite number >= 0"),
        ({"hidden_sizes": 128}, r"hidden_sizes: 128 does not fit; expected a list"),
        ({"hidden_sizes": [8, 0]}, r"hidden_sizes: \[8, 0\] does not fit"),
        ({"hidden_sizes": [1.5]}, r"hidden_sizes: \[1.5\] does not fit"),
        ({"activation": "rleu"}, r"activation: 'rleu' does not fit.*did you mean relu\?"),
        ({"n_epochs": -1}, r"n_epochs: -1 does not fit"),
        ({"n_epochs": 1.5}, r"n_epochs: 1.5 does not fit"),
        ({"seed": 2**32}, r"seed: 4294967296 does not fit; expected an integer, 0 .. 4294967295"),
        ({"dropout": 1}, r"dropout: 1 does not fit"),
        ({"lambda": 1}, r"lambda: no such setting \(did you mean l2_lambda\?\)"),
        ({"optimizer": {"name": "adm"}}, r"optimizer.name: 'adm' is not known.*did you mean adam\?"),
        ({"optimizer": {"name": []}}, r"optimizer.name: \[\] is not known; expected one of adam"),
        ({"schedule": {"name": {"a": 1}}}, r"schedule.name: \{'a': 1\} is not known; expected one of"),
        ({"optimizer": "adam"}, r"optimizer: 'adam' is not a group"),
        ({"data": {"name": "digits"}}, r"data.n_validation: not set; expected an integer, 0"),
        ({"activation": ["relu"]}, r"activation: 1 names for 2 hidden layers"),
        ({"init_std": 0.1}, r"init_std: 0.1 with initializer=he_normal"),
        ({"initializer": "normal"}, r"init_std: None with initializer=normal"),
        ({"patience": 3, "monitor": "test"}, r"patience: 3 with monitor=test"),
        ({"averaging": 1}, r"averaging: 1 does not fit; expected a finite number > 0 and < 1, or null"),
        ({"averaging": 0.9, "patience": 3}, r"averaging: 0.9 with monitor=validation patience=3.*averaging=null"),
        ({"averaging": 0.9, "monitor": "none"}, r"averaging: 0.9 with monitor=none patience=None.*monitor=validation"),
    ],
    ids=str,
)  # fmt: skip
def test_a_misfit_names_key_value_and_expectation(values: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TrainSettings.build(values | change)


def test_every_fault_is_reported_at_once(values: dict[str, Any]) -> None:
    values |= {"learning_rate": -1, "seed": -1, "lambda": 1}
    values["data"] |= {"n_train": 0}
    del values["data"]["n_epochs"]
    with pytest.raises(SettingsError, match="learning_rate") as caught:
        TrainSettings.build(values)
    named = {message.split(":")[0] for message in caught.value.messages}
    assert named == {"learning_rate", "seed", "lambda", "data.n_train", "data.n_epochs"}


@pytest.mark.parametrize(
    ("missing", "default"),
    [("threads", 1), ("hidden_sizes", (500, 250, 100)), ("optimizer", OptimizerSettings())],
    ids=str,
)
def test_a_missing_key_takes_its_default(values: dict[str, Any], missing: str, default: Any) -> None:
    del values[missing]
    assert getattr(TrainSettings.build(values), missing) == default


def test_a_group_takes_the_defaults_of_the_member_it_names(values: dict[str, Any]) -> None:
    values["optimizer"] = {"name": "adam", "beta_1": 0.5}
    assert TrainSettings.build(values).optimizer == AdamSettings(beta_1=0.5, beta_2=0.999, epsilon=1e-8)


def test_a_member_has_one_name() -> None:
    with pytest.raises(SettingsError, match="name: 'adam' does not fit; expected one of sgd"):
        OptimizerSettings(name="adam")


def test_seed_zero_is_a_seed(values: dict[str, Any]) -> None:
    assert TrainSettings.build(values).seed == 0


@pytest.mark.parametrize(("family", "group"), [(OptimizerSettings, "optimizer"), (ScheduleSettings, "schedule")])
def test_every_member_has_a_file(family: type[Family], group: str) -> None:
    from pipeline.help import CONF

    files = {file.stem: yaml.safe_load(file.read_text()) for file in (CONF / group).glob("*.yaml")}
    assert set(files) == set(family.members)
    assert [type(family.members[name].build(values)) for name, values in files.items()] == [
        family.members[name] for name in files
    ]


DIGITS = (ROOT / "conf" / "data" / "digits.yaml").read_text()


def declare(folder: Path, name: str, n_validation: int) -> Path:
    """Write a data set's file into a configuration folder, and return that."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / f"{name}.yaml").write_text(DIGITS.replace("n_validation: 300", f"n_validation: {n_validation}"))
    return folder


@pytest.mark.parametrize("name", sorted(file.stem for file in (ROOT / "conf/data").glob("*.yaml")))
def test_the_packages_own_data_sets_are_known_in_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert DataSettings.named(name).name == name


def test_a_name_is_looked_for_in_given_folders_then_in_the_project_then_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, below = declare(tmp_path / "given", "digits", 1), tmp_path / "project" / "notebooks"
    declare(tmp_path / "project" / "conf", "digits", 2)
    below.mkdir()
    monkeypatch.chdir(below)
    assert DataSettings.named("digits", [given]).n_validation == 1
    assert DataSettings.named("digits").n_validation == 2
    assert DataSettings.named("mnist", [given]).name == "mnist"


def test_an_unknown_name_is_told_with_the_nearest(tmp_path: Path) -> None:
    known = "expected one of mine, breast_cancer, digits, fashion_mnist, kmnist, mnist, wine"
    with pytest.raises(SettingsError, match=rf"data: 'mnits' is not known; {known} \(did you mean mnist\?\)"):
        DataSettings.named("mnits", [declare(tmp_path, "mine", 300)])


def test_a_files_faults_carry_their_path(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="data.n_validation: -1 does not fit"):
        DataSettings.named("digits", [declare(tmp_path, "digits", -1)])


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "../x"}, "data.name: '../x' does not fit; expected a name of letters, digits and underscores"),
        ({"name": "1"}, "data.name: '1' does not fit"),
        ({"format": "cvs"}, r"data.format: 'cvs' does not fit; expected one of idx, .* \(did you mean csv\?\)"),
        ({"format": "images"}, "data.path: not set; expected the folder of the images"),
        ({"format": "sklearn", "path": "x.csv"}, "data.path: x.csv with format sklearn"),
        ({"image_shape": [28]}, r"data.image_shape: \[28\] does not fit; expected height and width"),
        ({"image_shape": [28, 0]}, r"data.image_shape: \[28, 0\] does not fit"),
        ({"label": -1}, "data.label: -1 does not fit; expected the name of a column, or its number from 0"),
        ({"label": True}, "data.label: True does not fit"),
        ({"class_names": ["a", "b", "a"]}, r"data.class_names: \['a', 'b', 'a'\] has a name twice"),
        ({"class_names": "abc"}, "data.class_names: 'abc' does not fit; expected a list"),
        ({"transpose": 1}, "data.transpose: 1 does not fit; expected true or false"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused(
    changes: dict[str, Any], fault: str, values: dict[str, Any]
) -> None:
    with pytest.raises(SettingsError, match=fault):
        DataSettings.build(values["data"] | changes, "data.")


def test_a_short_declaration_is_enough() -> None:
    short = DataSettings.build(
        {"name": "birds", "format": "csv", "path": "birds.csv", "n_epochs": 5, "n_validation": 9}
    )
    assert (short.label, short.mirrors, short.files, short.class_names, short.declared) == ("label", (), {}, (), {})


def test_what_decides_how_files_are_read_is_declared(values: dict[str, Any]) -> None:
    assert DataSettings.build(values["data"]).declared == {}
    own = DataSettings.build(values["data"] | {"label": 0, "image_shape": [2, 3], "transpose": True, "title": "Mine"})
    assert own.declared == {"label": 0, "image_shape": [2, 3], "transpose": True}

"""Settings: each rule, every fault at once, full paths, nearest names."""

from typing import Any

import pytest
import yaml

from mlpsweep.errors import SettingsError
from mlpsweep.settings import Family, MomentumSettings, OptimizerSettings, ScheduleSettings, TrainSettings


@pytest.fixture
def values() -> dict[str, Any]:
    return {
        "activation": "relu", "hidden_sizes": [8, 4],
        "initializer": "he_normal", "init_std": None, "bias_init": "zeros",
        "learning_rate": 1, "l2_lambda": 0.0, "batch_size": 4, "drop_last": False, "shuffle": True, "n_epochs": None,
        "dropout": 0.0, "patience": None, "monitor": "validation", "monitor_every": None, "log_every": 10, "seed": 0,
        "threads": 1, "report_cost": False,
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
        ({"optimizer": "adam"}, r"optimizer: 'adam' is not a group"),
        ({"optimizer": {"name": "adam"}}, r"optimizer.beta_1: not set; expected a finite number >= 0 and < 1"),
        ({"activation": ["relu"]}, r"activation: 1 names for 2 hidden layers"),
        ({"init_std": 0.1}, r"init_std: 0.1 with initializer=he_normal"),
        ({"initializer": "normal"}, r"init_std: None with initializer=normal"),
        ({"patience": 3, "monitor": "test"}, r"patience: 3 with monitor=test"),
    ],
    ids=str,
)  # fmt: skip
def test_a_misfit_names_key_value_and_expectation(values: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TrainSettings.build(values | change)


def test_every_fault_is_reported_at_once(values: dict[str, Any]) -> None:
    values |= {"learning_rate": -1, "seed": -1, "lambda": 1}
    values["data"] |= {"n_train": 0}
    del values["threads"]
    with pytest.raises(SettingsError, match="learning_rate") as caught:
        TrainSettings.build(values)
    named = {message.split(":")[0] for message in caught.value.messages}
    assert named == {"learning_rate", "seed", "lambda", "data.n_train", "threads"}


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

"""A run's name and parameters are short, and whoever reads them gets all settings again."""

import pytest

from mlpsweep.settings import DataSettings, TrainSettings
from mlpsweep.tracking.lineage import UNLESS_TOLD, all_params, params, run_name, source

DATA = DataSettings.named("digits")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ({"activation": "relu", "hidden_sizes": (324, 173), "learning_rate": 0.27912}, "relu 324-173 lr=0.279"),
        ({"l2_lambda": 0.0668564}, "sigmoid 500-250-100 lr=0.01 l2=0.067"),
        ({"activation": ("relu", "tanh"), "hidden_sizes": (4, 2)}, "relu+tanh 4-2 lr=0.01"),
        ({"hidden_sizes": ()}, "linear no hidden layer lr=0.01"),
        ({"seed": 2}, "sigmoid 500-250-100 lr=0.01 seed=2"),
        ({"seed": 2837432001}, "sigmoid 500-250-100 lr=0.01"),
    ],
)
def test_a_name_is_short(words: dict[str, object], name: str) -> None:
    assert run_name(TrainSettings(data=DATA, **words)) == name


def test_a_usual_training_has_a_dozen_params() -> None:
    told = params(TrainSettings(data=DATA), 10)
    assert len(told) == 12
    assert not told.keys() & UNLESS_TOLD.keys()


def test_what_is_not_usual_is_told() -> None:
    told = params(TrainSettings(data=DATA, dropout=0.5, initializer="he_normal", class_weight={"T-shirt.top": 2}), 10)
    assert (told["dropout"], told["initializer"], told["class_weight"]) == (0.5, "he_normal", {"T-shirt.top": 2.0})


@pytest.mark.parametrize("words", [{}, {"dropout": 0.5, "patience": 3}, {"class_weight": {"3": 2.0}}], ids=str)
def test_what_was_left_out_is_read_again(words: dict[str, object]) -> None:
    settings = TrainSettings(data=DATA, **words)
    told = {name: str(value) for name, value in params(settings, 10).items()}
    read = all_params(told)
    assert told.items() <= read.items()
    for name in ("dropout", "patience", "class_weight", "initializer", "monitor"):
        assert read[name] == str(getattr(settings, name))


def test_every_value_that_is_left_out_is_of_a_setting() -> None:
    settings = TrainSettings(data=DATA)
    for name, text in UNLESS_TOLD.items():
        found: object = settings
        for part in name.split("."):
            found = getattr(found, part)
        assert str(found) == text, f"{name}: other defaults are logged; this table keeps its values"


def test_a_run_without_settings_has_none() -> None:
    assert all_params({}) == {}
    assert all_params({"space.activation": "relu"}) == {"space.activation": "relu"}


def test_an_account_without_a_name_has_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert source("pipeline.train") == {"mlflow.source.name": "pipeline.train", "mlflow.source.type": "LOCAL"}

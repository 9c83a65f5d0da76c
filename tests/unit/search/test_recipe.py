"""The winner's recipe: the settings that a search held fixed and a training would not."""

from collections.abc import Mapping
from typing import Any

import pytest

from mlpsweep.search.recipe import fixed_deltas
from mlpsweep.settings import TrainSettings
from tests.search_lab import base_settings

GROUPS: dict[str, Any] = {
    "sgd": {"name": "sgd"},
    "cosine": {"name": "cosine", "warmup_fraction": 0.0, "final_fraction": 0.0},
    "momentum": {"name": "momentum", "momentum": 0.9, "nesterov": False},
}
BEGINNING: dict[str, Any] = {"defaults": [], "data": {"n_validation": 0}, "monitor": "none"}


def defaults(groups: Mapping[str, str]) -> TrainSettings:
    return base_settings(**{group: GROUPS[name] for group, name in groups.items()})


def test_a_search_of_defaults_leaves_the_validation_rows_to_the_winner_and_nothing_else() -> None:
    assert fixed_deltas(base_settings(), defaults, ["learning_rate"]) == BEGINNING


def test_a_group_is_chosen_by_its_file_and_only_other_keys_are_written() -> None:
    momentum = {"name": "momentum", "momentum": 0.8, "nesterov": False}
    searched = base_settings(schedule=GROUPS["cosine"], optimizer=momentum, batch_size=32)
    assert fixed_deltas(searched, defaults, []) == {
        **BEGINNING,
        "defaults": [{"override /optimizer": "momentum"}, {"override /schedule": "cosine"}],
        "optimizer": {"momentum": 0.8},
        "batch_size": 32,
    }


def test_a_searched_group_is_chosen_even_where_a_training_has_the_same() -> None:
    assert fixed_deltas(base_settings(), defaults, ["optimizer"]) == {
        **BEGINNING,
        "defaults": [{"override /optimizer": "sgd"}],
    }


def test_weights_of_classes_are_written_whole() -> None:
    assert fixed_deltas(base_settings(class_weight={3: 2}), defaults, []) == {**BEGINNING, "class_weight": {"3": 2.0}}


@pytest.mark.parametrize("change", [{"n_epochs": 2}, {"averaging": 0.99}, {"learning_rate": 0.5}])
def test_how_trials_are_judged_and_searched_settings_are_left_out(change: dict[str, Any]) -> None:
    assert fixed_deltas(base_settings(**change), defaults, ["learning_rate"]) == BEGINNING

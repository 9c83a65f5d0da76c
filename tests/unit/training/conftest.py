"""Settings as conf/ gives them, for short trainings on the digits."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlpsweep.data.dataset import Dataset, Split
from mlpsweep.settings import TrainSettings

CONF = Path(__file__).parents[3] / "conf"
MakeSettings = Callable[..., TrainSettings]


def read(path: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CONF / f"{path}.yaml").read_text())
    return values


@pytest.fixture(scope="session")
def make_settings() -> MakeSettings:
    """conf/train.yaml on the digits with a small network; keywords are what differs, groups by their file's name."""
    known = {field.name for field in dataclasses.fields(TrainSettings)}
    base = {name: value for name, value in read("train").items() if name in known}
    small = {"activation": "relu", "hidden_sizes": [16, 8], "n_epochs": 3, "learning_rate": 0.05, "log_every": 7}

    def make(
        *, optimizer: str = "sgd", schedule: str = "constant", augment: str = "none", **changed: Any
    ) -> TrainSettings:
        data = read("data/digits") | changed.pop("data", {})
        groups = {"data": data, "optimizer": read(f"optimizer/{optimizer}"), "schedule": read(f"schedule/{schedule}")}
        groups["augment"] = read(f"augment/{augment}")
        return TrainSettings.build(base | small | groups | changed)

    return make


@pytest.fixture(scope="session")
def twenty_rows(tiny_dataset: Dataset) -> Dataset:
    """The digits with twenty rows to train on and to validate."""
    split = tiny_dataset.train
    few = Split(split.images, split.labels, split.rows[:20])
    return dataclasses.replace(tiny_dataset, train=few, validation=few)

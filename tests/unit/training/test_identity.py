"""The key of a training: equal exactly where the bits must be."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.settings import AdamSettings, TrainSettings
from mlpsweep.training import identity
from mlpsweep.training.identity import environment, identity_of, numeric_sources_digest, run_key

MakeSettings = Callable[..., TrainSettings]
DIGEST = "d" * 64

CHANGES: dict[str, dict[str, Any]] = {
    "activation": {"activation": "tanh"},
    "hidden_sizes": {"hidden_sizes": [16, 9]},
    "initializer": {"initializer": "he_normal"},
    "init_std": {"initializer": "normal", "init_std": 0.1},
    "bias_init": {"bias_init": "weights"},
    "learning_rate": {"learning_rate": 0.0500001},
    "l2_lambda": {"l2_lambda": 0.1},
    "class_weight": {"class_weight": "balanced"},
    "batch_size": {"batch_size": 63},
    "drop_last": {"drop_last": True},
    "shuffle": {"shuffle": False},
    "n_epochs": {"n_epochs": 4},
    "dropout": {"dropout": 0.1},
    "input_dropout": {"input_dropout": 0.1},
    "averaging": {"averaging": 0.9},
    "patience": {"patience": 2},
    "monitor": {"monitor": "none"},
    "seed": {"seed": 1},
    "threads": {"threads": 2},
    "optimizer": {"optimizer": "momentum"},
    "schedule": {"schedule": "cosine"},
    "augment": {"augment": "distort"},
    "rows": {"data": {"n_train": 100}},
    "scaling": {"data": {"scaling": "unit"}},
}
NO_CHANGES: dict[str, dict[str, Any]] = {
    "log_every": {"log_every": 1},
    "monitor_every": {"monitor_every": 5},
    "report_cost": {"report_cost": True},
    "mirrors": {"data": {"mirrors": ["https://example.org/"]}},
    "a list of one name": {"activation": ["relu", "relu"]},
    "the set's own budget": {"n_epochs": None, "data": {"n_epochs": 3}},
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_what_changes_the_bits_changes_the_key(changed: dict[str, Any], make_settings: MakeSettings) -> None:
    assert run_key(make_settings(**changed), DIGEST) != run_key(make_settings(), DIGEST)


@pytest.mark.parametrize("changed", NO_CHANGES.values(), ids=NO_CHANGES)
def test_what_does_not_change_the_bits_leaves_the_key(changed: dict[str, Any], make_settings: MakeSettings) -> None:
    assert run_key(make_settings(**changed), DIGEST) == run_key(make_settings(), DIGEST)


def test_every_key_of_the_identity_has_its_case(make_settings: MakeSettings) -> None:
    assert identity_of(make_settings()).keys() - CHANGES.keys() == {"data"}


@pytest.mark.parametrize(("name", "value"), [("averaging", 0.9), ("class_weight", {"3": 2.0})])
def test_a_setting_that_came_later_leaves_older_digests_as_they_were(
    name: str, value: object, make_settings: MakeSettings
) -> None:
    assert name not in identity_of(make_settings())
    assert identity_of(make_settings(**{name: value}))[name] == value


def test_a_key_of_an_optimiser_that_came_later_does_so_too(make_settings: MakeSettings) -> None:
    plain = make_settings(optimizer="adam")
    assert "weight_decay" not in identity_of(plain)["optimizer"]
    decayed = dataclasses.replace(plain, optimizer=AdamSettings(weight_decay=0.1))
    assert identity_of(decayed)["optimizer"] == identity_of(plain)["optimizer"] | {"weight_decay": 0.1}


def test_the_order_of_weights_does_not_change_the_key(make_settings: MakeSettings) -> None:
    one, other = ({"3": 2.0, "7": 0.5}, {7: 0.5, 3: 2})
    assert run_key(make_settings(class_weight=one), DIGEST) == run_key(make_settings(class_weight=other), DIGEST)


def test_other_data_is_another_key(make_settings: MakeSettings) -> None:
    assert run_key(make_settings(), DIGEST) != run_key(make_settings(), "e" * 64)


@pytest.mark.parametrize("name", ["numeric_sources_digest", "numeric_environment"])
def test_other_sources_or_versions_are_another_key(
    name: str, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run_key(make_settings(), DIGEST)
    monkeypatch.setattr(identity, name, lambda: "other")
    assert run_key(make_settings(), DIGEST) != before


PACKAGE = Path(identity.__file__).parents[1]
TRAINING = {"blas": True, "measure": True, "run": True, "setup": True, "steps": True, "trainer": True} | dict.fromkeys(
    ("__init__", "arrays", "checkpoint", "folder", "history", "identity", "model", "proof"), False
)
"""Whether a comment in this module of ``training`` makes every training another one."""

COMPUTING = {
    "nn": {path.stem for path in (PACKAGE / "nn").glob("*.py")} - {"__init__"},
    "training": {name for name, computes in TRAINING.items() if computes},
    "data": {"augment", "batches", "dataset"},
}


@pytest.fixture
def copied_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in COMPUTING:
        shutil.copytree(PACKAGE / folder, tmp_path / folder)
    monkeypatch.setattr(identity, "_PACKAGE", tmp_path)
    return tmp_path


@pytest.mark.parametrize("folder", COMPUTING)
def test_a_comment_changes_the_key_where_it_is_in_a_numeric_source(copied_package: Path, folder: str) -> None:
    before = numeric_sources_digest.__wrapped__()
    changed = set()
    for file in (copied_package / folder).glob("*.py"):
        text = file.read_text()
        file.write_text(f"{text}# a comment\n")
        if numeric_sources_digest.__wrapped__() != before:
            changed.add(file.stem)
        file.write_text(text)
    assert changed == COMPUTING[folder]
    assert numeric_sources_digest.__wrapped__() == before


def test_every_module_of_training_is_decided_on() -> None:
    assert {path.stem for path in (PACKAGE / "training").glob("*.py")} == TRAINING.keys()


def test_environment_names_versions_and_the_blas_kernel() -> None:
    facts = environment()
    assert {"python", "numpy", "scipy", "blas", "cpu", "n_cpus", "platform"} == facts.keys()
    assert all(facts.values())
    assert "numpy: " in facts["blas"] or "system: " in facts["blas"]

"""The key of a training: equal exactly where the bits must be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.settings import TrainSettings
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
    "batch_size": {"batch_size": 63},
    "drop_last": {"drop_last": True},
    "shuffle": {"shuffle": False},
    "n_epochs": {"n_epochs": 4},
    "dropout": {"dropout": 0.1},
    "input_dropout": {"input_dropout": 0.1},
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


def test_other_data_is_another_key(make_settings: MakeSettings) -> None:
    assert run_key(make_settings(), DIGEST) != run_key(make_settings(), "e" * 64)


@pytest.mark.parametrize("name", ["numeric_sources_digest", "numeric_environment"])
def test_other_sources_or_versions_are_another_key(
    name: str, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run_key(make_settings(), DIGEST)
    monkeypatch.setattr(identity, name, lambda: "other")
    assert run_key(make_settings(), DIGEST) != before


@pytest.mark.parametrize(
    "path", ["nn/losses.py", "training/trainer.py", "data/augment.py", "data/batches.py", "data/dataset.py"]
)
def test_a_byte_of_a_numeric_source_changes_the_digest(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "nn/losses.py",
        "training/trainer.py",
        "data/augment.py",
        "data/batches.py",
        "data/dataset.py",
        "data/idx.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(identity, "_PACKAGE", tmp_path)
    digests = list[str]()
    for changed in ("data/idx.py", path):
        (tmp_path / changed).write_text("x = 2\n")
        digests.append(numeric_sources_digest.__wrapped__())
        (tmp_path / changed).write_text("x = 1\n")
    assert numeric_sources_digest.__wrapped__() == digests[0] != digests[1]


def test_environment_names_versions_and_the_blas_kernel() -> None:
    facts = environment()
    assert {"python", "numpy", "scipy", "blas", "cpu", "n_cpus", "platform"} == facts.keys()
    assert all(facts.values())
    assert "numpy: " in facts["blas"] or "system: " in facts["blas"]

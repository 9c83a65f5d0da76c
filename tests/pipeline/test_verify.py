"""The door ``verify``: an honest record is proved bit for bit, anything else is named."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpsweep.nn.network import Params
from mlpsweep.training.model import Model
from tests.pipeline.clone import cloned
from tests.pipeline.doors import TINY, door, tracked

pytestmark = pytest.mark.slow
VERIFIED = "select value from tags where key = 'verified'"
SIZES = (64, 16, 10)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two jobs, done by two processes at once; no test changes it."""
    folder = tmp_path_factory.mktemp("verify")
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=jobs")
    done = door(folder, "train", *TINY, "-m", "seed=1,2", *launcher)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def record(trained: Path, tmp_path: Path) -> Path:
    """The folder of the first job, in a copy of everything that may be changed."""
    return shutil.copytree(trained, tmp_path / "copy") / "jobs/0"


def verify(record: Path) -> tuple[int, str, str]:
    root = record.parents[1]
    done = door(root, "verify", f"model_dir={record.relative_to(root)}")
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def verified(record: Path) -> list[tuple[str]]:
    """Return the value of the tag on the record's own run."""
    run_id = json.loads(record.with_name(f"{record.name}.run.json").read_text())["run_id"]
    return tracked(record.parents[1], f"{VERIFIED} and run_uuid = '{run_id}'")


def shift_weight(record: Path, by: float, **metadata: Any) -> None:
    """Write the record's model again with one weight shifted."""
    model = Model.load(record / "model.npz")
    flat = model.params.flat.copy()
    flat[7] += np.float32(by)
    dataclasses.replace(model.with_metadata(**metadata), params=Params.of(flat, SIZES)).save(record / "model.npz")


def test_runs_of_two_processes_at_once_verify(record: Path) -> None:
    code, said, _ = verify(record)
    assert code == 0
    assert said.startswith("verified: jobs/0: trained again from its config.yaml, weights ")
    assert verified(record) == [("bits",)]
    assert verify(record.with_name("1"))[0] == 0
    assert tracked(record.parents[1], "select count(*) from runs") == [(3,)]


def test_a_changed_weight_is_found_and_measured(record: Path) -> None:
    shift_weight(record, 0.25)
    code, said, fault = verify(record)
    assert (code, said) == (5, "")
    assert "error: jobs/0: weights " in fault
    assert "error: jobs/0: 1 of 1210 parameters differ, by 0.25 at most" in fault
    assert verified(record) == [("false",)]


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def act(record: Path) -> None:
        text = (record / name).read_text()
        assert old in text
        (record / name).write_text(text.replace(old, new, 1))

    return act


def lose_last_line(record: Path) -> None:
    file = record / "history.csv"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")


@pytest.mark.parametrize(
    ("act", "named"),
    [
        (replaced("history.csv", "\n1,", "\n1,9"), "the history first differs in '1,9"),
        (lose_last_line, "number of epochs: 2 in the record, 3 rebuilt"),
    ],
    ids=["history", "a line lost"],
)
def test_a_record_of_another_training_is_named(record: Path, act: Callable[[Path], None], named: str) -> None:
    act(record)
    code, said, fault = verify(record)
    assert (code, said) == (5, "")
    assert named in fault
    assert verified(record) == [("false",)]


@pytest.mark.parametrize(
    ("old", "new"),
    [("seed: 1", "seed: 3"), ("- 16", "- 17"), ("n_epochs: 3", "n_epochs: 4"), ("activation: relu", "activation: tanh"),
     ("scaling: standardize", "scaling: unit")],
    ids=["seed", "width", "epochs", "activation", "scaling"],
)  # fmt: skip
def test_settings_that_the_model_was_not_trained_with_are_refused(record: Path, old: str, new: str) -> None:
    replaced("config.yaml", old, new)(record)
    code, said, fault = verify(record)
    assert (code, said) == (3, "")
    assert "jobs/0/config.yaml: not what model.npz was trained with" in fault


def test_on_other_versions_near_is_enough(record: Path) -> None:
    shift_weight(record, 1e-6, run_key="0" * 64)
    code, said, _ = verify(record)
    assert (code, "within 0.5 points" in said) == (0, True)
    assert verified(record) == [("tolerance",)]


@pytest.mark.parametrize("name", ["model.npz", "config.yaml", "history.csv"])
def test_a_record_that_lacks_a_file_names_it(record: Path, name: str) -> None:
    (record / name).unlink()
    code, said, fault = verify(record)
    assert (code, said) == (3, "")
    assert f"jobs/0/{name}: no such file" in fault


def test_a_damaged_model_is_a_data_fault(record: Path) -> None:
    (record / "model.npz").write_bytes((record / "model.npz").read_bytes()[:-100])
    code, _, fault = verify(record)
    assert (code, "jobs/0/model.npz" in fault) == (3, True)


def test_a_copy_of_the_folder_verifies_in_another_clone(trained: Path, tmp_path: Path) -> None:
    clone = cloned(tmp_path / "clone")
    shutil.copytree(trained / "jobs/0", clone.folder / "elsewhere")
    done = clone.run("python -m pipeline.verify model_dir=elsewhere")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("verified: elsewhere: ")
    assert sorted(path.name for path in (clone.folder / "data/prepared").iterdir() if path.is_dir()) == ["digits"]
    assert tracked(clone.folder, "select value from tags where key = 'restored'") == [("true",)]
    assert tracked(clone.folder, VERIFIED) == [("bits",)]

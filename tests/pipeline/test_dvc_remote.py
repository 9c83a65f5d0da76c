"""A DVC remote between two clones: what one has made the other pulls."""

import subprocess
from pathlib import Path

import pytest

from tests.pipeline.clone import Clone

pytestmark = [pytest.mark.slow, pytest.mark.dvc]


def test_a_second_clone_pulls_and_trains_nothing(clone: Clone, tmp_path: Path) -> None:
    clone.ok("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    clone.ok("git commit --quiet --all --message remote")
    clone.ok("dvc push")
    subprocess.run(["git", "clone", "--quiet", str(clone.folder), str(tmp_path / "second")], check=True)
    second = Clone(tmp_path / "second")
    second.set_up()
    second.ok("dvc pull")
    said = second.ok("dvc repro --no-commit")
    assert "Running stage 'train" not in said
    assert "Running stage 'search" not in said
    assert not (second.folder / "mlflow.db").exists()
    for name in ("search/recipe/winner.yaml", "train/winner/model.npz", "evaluate/winner/predictions.csv"):
        made, pulled = ((one.folder / "artifacts/mnist" / name).read_bytes() for one in (clone, second))
        assert made == pulled, name

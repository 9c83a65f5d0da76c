"""Artifacts of before and after a move open in ``mlflow ui``, asked through its REST API, and so does the champion."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.doors import TINY, door, mlflow_ui, tracked

pytestmark = pytest.mark.slow
FILES = {"batches.csv", "config.yaml", "curves.png", "history.csv", "model.npz", "run.json"}


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def test_artifacts_of_before_and_after_a_move_open(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here and now"
    there.mkdir()
    assert door(there, "train", *TINY, "seed=1", "output_dir=outputs/one").returncode == 0
    assert door(there, "evaluate", "model_dir=outputs/one", "register=true").returncode == 0
    there.rename(here)
    assert door(here, "train", *TINY, "seed=2", "output_dir=outputs/two").returncode == 4
    done = door(here, "doctor", "fix=true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert door(here, "train", *TINY, "seed=2", "output_dir=outputs/two").returncode == 0
    with mlflow_ui(here) as address:
        api = f"{address}/api/2.0/mlflow"
        for name in ("one", "two"):
            run_id = json.loads((here / f"outputs/{name}.run.json").read_text())["run_id"]
            listed = ask(f"{api}/artifacts/list?run_id={run_id}")["files"]
            assert {file["path"] for file in listed if not file["is_dir"]} == FILES
            wanted = (here / f"outputs/{name}/model.npz").read_bytes()
            url = f"{address}/get-artifact?path=model.npz&run_uuid={run_id}"
            with urllib.request.urlopen(url, timeout=30) as answer:
                assert answer.read() == wanted
        version = ask(f"{api}/model-versions/get-download-uri?name=digits-mlp&version=1")["artifact_uri"]
    (model_id,) = tracked(here, "select source from model_versions")[0]
    assert model_id.startswith("models:/m-")
    (stored,) = tracked(here, "select storage_location from model_versions")[0]
    assert str(here) in version or version == model_id
    assert Path(stored, "MLmodel").is_file()
    assert not there.exists()

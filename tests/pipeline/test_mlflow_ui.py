"""A bare ``mlflow ui`` in the folder shows a sweep: asked through its REST API, as the page asks it."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.pipeline.doors import TINY, door, mlflow_ui

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("ui")
    assert door(folder, "train", "-m", "data=digits", *TINY[2:], "activation=sigmoid,tanh,relu").returncode == 0
    with mlflow_ui(folder) as address:
        yield address


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_sweep_is_one_parent_with_a_child_for_each_job(served: str) -> None:
    api = f"{served}/api/2.0/mlflow"
    experiment = ask(f"{api}/experiments/get-by-name?experiment_name=digits")["experiment"]
    runs = ask(f"{api}/runs/search", {"experiment_ids": [experiment["experiment_id"]]})["runs"]
    tags = {run["info"]["run_id"]: {tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in runs}
    parents = [run_id for run_id, own in tags.items() if "mlflow.parentRunId" not in own]
    children = [run_id for run_id, own in tags.items() if own.get("mlflow.parentRunId") == parents[0]]
    assert (len(parents), len(children)) == (1, 3)
    assert {run["info"]["status"] for run in runs} == {"FINISHED"}
    assert {run["info"]["run_name"].split()[0] for run in runs} == {"sweep", "sigmoid", "tanh", "relu"}
    for child in children:
        history = ask(f"{api}/metrics/get-history?run_id={child}&metric_key=validation/accuracy")["metrics"]
        assert [point["step"] for point in history] == [1, 2, 3]
        listed = ask(f"{api}/artifacts/list?run_id={child}")["files"]
        assert {file["path"] for file in listed} == {
            "batches.csv",
            "config.yaml",
            "curves.png",
            "history.csv",
            "model.npz",
            "run.json",
        }
        with urllib.request.urlopen(f"{served}/get-artifact?path=curves.png&run_uuid={child}", timeout=30) as answer:
            assert answer.read(8) == b"\x89PNG\r\n\x1a\n"

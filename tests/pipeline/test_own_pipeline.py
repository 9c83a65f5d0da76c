"""The whole pipeline on files of one's own, each in another format: from one key to a champion that answers."""

import csv
import json
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests import own_sets
from tests.pipeline.clone import Clone, commit, quick
from tests.pipeline.doors import tracked
from tests.pipeline.processes import serving

pytestmark = [pytest.mark.slow, pytest.mark.dvc]
ACCURATE = 0.7


def pixels_of(clone: Clone, name: str) -> dict[str, Any]:
    """Return the test images as stored, as a server takes them."""
    return {"inputs": np.load(clone.folder / f"data/prepared/{name}/test_images.npy").tolist()}


def rows_of(clone: Clone, _: str) -> dict[str, Any]:
    """Return the rows of the test file, as a server takes them."""
    header, *rows = csv.reader((clone.folder / "mine/test.csv").read_text().splitlines())
    place, kinds = header.index("kind"), [str if name == "colour" else float for name in header]
    data = [[kind(cell) for i, (kind, cell) in enumerate(zip(kinds, row, strict=True)) if i != place] for row in rows]
    return {"dataframe_split": {"columns": [name for name in header if name != "kind"], "data": data}}


@pytest.mark.parametrize(
    ("write", "asked"),
    [
        pytest.param(own_sets.hard_csv, rows_of, id="csv"),
        pytest.param(own_sets.hard_pictures, pixels_of, id="images"),
        pytest.param(own_sets.hard_npz, pixels_of, id="npz", marks=pytest.mark.long),
        pytest.param(own_sets.hard_idx, pixels_of, id="idx", marks=pytest.mark.long),
    ],
)
def test_one_key_leads_from_a_file_to_a_champion(
    write: Callable[[Path], dict[str, Any]], asked: Callable[[Clone, str], dict[str, Any]], tmp_path: Path
) -> None:
    clone = quick(tmp_path / "clone")
    described = write(clone.folder / "mine") | {"path": "mine", "fallback": None, "n_epochs": 20, "n_validation": 60}
    name = described["name"]
    (clone.folder / f"conf/data/{name}.yaml").write_text(yaml.safe_dump(described))
    clone.replace("conf/train.yaml", "- data: mnist  ", f"- data: {name}  ")
    (clone.folder / ".git/info/exclude").write_text("mine/\n")
    commit(clone, "a set of my own")
    said = clone.ok("dvc repro", stderr=subprocess.STDOUT)
    assert "no SHA-256 is declared for it" in said
    assert {path.name for path in (clone.folder / "artifacts").iterdir()} == {name}
    assert tracked(clone.folder, "select name from experiments where name != 'Default'") == [(name,)]
    winner = clone.folder / f"artifacts/{name}/evaluate/winner"
    measured = json.loads((winner / "metrics.json").read_text())["test"]
    assert measured["accuracy"] > ACCURATE
    assert name in (clone.folder / f"artifacts/{name}/report/index.html").read_text()
    commit(clone, "as it ran")
    again = clone.ok("dvc repro")
    assert again.count("Running stage") == 2  # what always runs
    assert clone.ok("git status --porcelain") == ""
    judged = list(csv.DictReader((winner / "predictions.csv").read_text().splitlines()))
    assert len(judged) == measured["n_samples"]
    with serving(f"models:/{name}-mlp@champion", clone.folder, tmp_path / "log") as address:
        body = json.dumps(asked(clone, name)).encode()
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            probabilities = np.array(json.load(answer)["predictions"])
    names = yaml.safe_load((clone.folder / f"data/prepared/{name}/manifest.json").read_text())["class_names"]
    assert names == ["3", "4", "5", "6", "7"]
    assert probabilities.argmax(axis=1).tolist() == [int(row["predicted"]) for row in judged]
    np.testing.assert_allclose(probabilities.max(axis=1), [float(row["probability"]) for row in judged], rtol=2e-5)

"""The champion out of the door: MLflow's own server and predictor give evaluate's digits, without this repository."""

import csv
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline.doors import TINY, door
from tests.pipeline.processes import environment_of, serving

pytestmark = pytest.mark.slow
CHAMPION = "models:/digits-mlp@champion"
N_IMAGES = 50
# Runs in every Python process below: writes down each file of this package that is opened, wherever it lies.
WITNESS = """
import os, sys
def note(event, words):
    if event == "open" and isinstance(words[0], str) and ("/mlpsweep/" in words[0] or "/pipeline/" in words[0]):
        os.write(log, (words[0] + "\\n").encode())
log = os.open(os.environ["WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
sys.addaudithook(note)
"""


@dataclass(frozen=True)
class Elsewhere:
    """An empty folder, to type commands in that know the store and nothing of this repository."""

    folder: Path
    environment: dict[str, str]

    def opened(self) -> list[str]:
        """Return the files of the package that processes have opened."""
        return (self.folder.parent / "witnessed").read_text().splitlines()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    assert door(folder, "train", *TINY, "output_dir=model").returncode == 0
    done = door(folder, "evaluate", "model_dir=model", "output_dir=evaluation", "register=true")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def elsewhere(home: Path, tmp_path: Path) -> Elsewhere:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(WITNESS)
    (tmp_path / "empty").mkdir()
    own = {"PYTHONPATH": str(tmp_path / "site"), "WITNESS": str(tmp_path / "witnessed"), "TMPDIR": str(tmp_path)}
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return Elsewhere(tmp_path / "empty", environment_of(**own, **store))


def images_of(home: Path) -> list[list[int]]:
    """Return the first test images that evaluate has judged, as pixels."""
    rows = [int(line["row"]) for line in judged(home)]
    images = np.load(home / "data/prepared/digits/test_images.npy")
    pixels: list[list[int]] = images[rows].reshape(len(rows), -1).tolist()
    return pixels


def judged(home: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((home / "evaluation/predictions.csv").read_text().splitlines()))[:N_IMAGES]


def check(answer: Any, home: Path, elsewhere: Elsewhere) -> None:
    """Compare an answer with ``predictions.csv``, and what was opened with the model's own folder."""
    probabilities, lines = np.array(answer["predictions"]), judged(home)
    assert probabilities.argmax(axis=1).tolist() == [int(line["predicted"]) for line in lines]
    np.testing.assert_allclose(probabilities.max(axis=1), [float(line["probability"]) for line in lines], rtol=1e-5)
    opened = elsewhere.opened()
    assert any(file.endswith("training/model.py") or "training/__pycache__/model" in file for file in opened)
    models = (str(home / "mlruns"), str(elsewhere.folder.parent))
    assert [file for file in opened if not file.startswith(models)] == []


@pytest.fixture
def served(elsewhere: Elsewhere) -> Iterator[str]:
    with serving(CHAMPION, elsewhere.folder, elsewhere.folder.parent / "log", elsewhere.environment) as address:
        yield address


def test_the_served_champion_gives_the_digits_that_evaluate_gives(
    home: Path, elsewhere: Elsewhere, served: str
) -> None:
    body = json.dumps({"inputs": images_of(home)}).encode()
    request = urllib.request.Request(served, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        check(json.load(answer), home, elsewhere)


def test_predictions_of_a_file_are_those_of_evaluate(home: Path, elsewhere: Elsewhere) -> None:
    (elsewhere.folder / "in.json").write_text(json.dumps({"inputs": images_of(home)}))
    words = ["mlflow", "models", "predict", "-m", CHAMPION, "--env-manager", "local", "-t", "json"]
    done = subprocess.run(
        [*words, "-i", "in.json", "-o", "out.json"],
        cwd=elsewhere.folder,
        env=elsewhere.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check(json.loads((elsewhere.folder / "out.json").read_text()), home, elsewhere)

"""docs/your-data.md as a user follows it: its files, in conf/data/ of a folder of one's own, and the commands."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from mlpsweep.data.ready import DataFolders
from mlpsweep.datasets import DataSettings
from tests import own_sets
from tests.pipeline.doors import ROOT, door

PAGE = (ROOT / "docs/your-data.md").read_text()
FILES = dict(re.findall(r"<!-- (\w+) -->\n```yaml\n(.*?)```", PAGE, re.DOTALL))
QUICK = ("hidden_sizes=[16]", "batch_size=8", "n_epochs=40", "learning_rate=0.1", "activation=relu")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's files as configuration, and with the data that they name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/data").mkdir(parents=True)
    for name, text in FILES.items():
        (tmp_path / f"mine/data/{name}.yaml").write_text(text)
    own_sets.write_csv(tmp_path)
    own_sets.write_pictures(tmp_path)
    own_sets.write_emnist(tmp_path / "gzip.zip", 52)
    own_sets.write_qmnist(tmp_path / "qmnist")
    return tmp_path


def test_the_page_has_a_file_for_each_kind() -> None:
    assert FILES.keys() == {"birds", "pictures", "emnist_letters", "qmnist"}


@pytest.mark.parametrize("name", FILES)
def test_each_file_of_the_page_opens_its_data(name: str, project: Path) -> None:
    settings = DataSettings.named(name, [project / "mine"])
    few = DataSettings.build(yaml.safe_load(FILES[name]) | {"n_validation": 5})
    manifest = DataFolders.below(project).open(few, with_test=True)[1].manifest
    assert (settings.name, manifest.dataset) == (name, name)
    assert manifest.title == (settings.title or name)
    assert min(manifest.counts.values()) >= 8


def test_every_key_is_in_the_pages_table() -> None:
    table = PAGE.partition("## Every key")[2]
    assert [name for name in DataSettings.__dataclass_fields__ if f"`{name}`" not in table] == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "is_table"), [("birds", True), ("pictures", False)])
def test_a_set_of_ones_own_is_trained_and_evaluated(name: str, is_table: bool, project: Path) -> None:
    mine = ("--config-dir", "mine")
    done = door(project, "train", *mine, f"data={name}", *QUICK, "output_dir=m")
    assert done.returncode == 0, done.stderr
    assert "is recorded in data/raw/" in done.stderr
    done = door(project, "evaluate", "model_dir=m", "output_dir=e", "register=true")
    assert done.returncode == 0, done.stderr
    assert f"{name}-mlp" in done.stdout
    assert json.loads((project / "e/metrics.json").read_text())["test"]["accuracy"] > 0.5
    figures = {path.stem for path in (project / "e").glob("*.png")}
    assert {"confusion_matrix", "reliability"} <= figures
    assert figures & {"misclassified", "confused_pairs", "first_layer"} == (
        set() if is_table else {"misclassified", "confused_pairs", "first_layer"}
    )
    assert (project / f"data/prepared/{name}/samples.png").exists() is not is_table
    done = door(project, "verify", "model_dir=m")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_table_of_ones_own_is_searched(project: Path) -> None:
    words = (
        "--config-dir",
        "mine",
        "data=birds",
        "batch_size=8",
        "n_epochs=2",
        "search.n_trials=2",
        "winner.n_seeds=1",
    )
    done = door(project, "search", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads((project / "artifacts/birds/search/summary.json").read_text())["study"].startswith("birds-")
    # The set is no file of conf/, so it comes with the winner.
    shutil.rmtree(project / "mine")
    done = door(project, "train", "--config-dir", "artifacts/birds/search", "recipe=winner", "output_dir=w")
    assert done.returncode == 0, done.stderr
    assert "name: birds" in (project / "w/config.yaml").read_text()
    done = door(project, "search", "--config-dir", "artifacts/birds/search", "data=birds", *words[3:])
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_bad_table_is_told_in_a_sentence_with_exit_code_3(project: Path) -> None:
    rows = own_sets.table_rows()
    rows[7][2] = "heavy"
    (project / "birds.csv").write_text(own_sets.csv_text(rows))
    for command in ("download", "prepare", "train"):
        if command == "prepare":
            continue
        done = door(project, command, "--config-dir", "mine", "data=birds")
        assert done.returncode == 3
        assert "birds.csv: line 9, column 'weight': 'heavy'; expected a number" in done.stderr
        assert "Traceback" not in done.stderr
    assert [path for path in (project / "data").rglob("*") if path.suffix in (".npy", ".json", ".part")] == []


@pytest.mark.slow
def test_the_list_shows_each_set_and_what_was_prepared_of_it(project: Path) -> None:
    assert door(project, "prepare", "data=wine").returncode == 3  # nothing was downloaded
    for command in ("download", "prepare"):
        assert door(project, command, "data=wine").returncode == 0
    shutil.copy(project / "mine/data/birds.yaml", project / "mine/data/broken.yaml")
    (project / "mine/data/broken.yaml").write_text("name: broken\n")
    done = door(project, "download", "--list", "--config-dir", "mine")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()[2:]}
    assert {*FILES, "mnist", "fashion_mnist", "kmnist", "digits", "wine", "breast_cancer", "broken"} == lines.keys()
    assert "scikit-learn" in lines["wine"]
    assert "142 + 36 rows, 13 columns, 3 classes" in lines["wine"]
    assert "2 mirrors" in lines["mnist"]
    assert "birds.csv" in lines["birds"]
    assert "data.n_epochs: not set" in lines["broken"]


@pytest.mark.slow
def test_only_download_has_a_list(tmp_path: Path) -> None:
    done = door(tmp_path, "prepare", "--list")
    assert (done.returncode, "pipeline.download" in done.stderr) == (2, True)


@pytest.mark.slow
def test_a_batch_beyond_a_prepared_table_is_refused_before_anything_runs(project: Path) -> None:
    for command in ("download", "prepare"):
        assert door(project, command, "data=wine").returncode == 0
    done = door(project, "train", "data=wine", "batch_size=113", "output_dir=m")
    assert done.returncode == 2
    assert "batch_size: 113; expected at most the 112 rows to train on" in done.stderr
    assert not (project / "m").exists()


def test_an_image_of_the_emnist_file_is_an_l(project: Path) -> None:
    few = DataSettings.build(yaml.safe_load(FILES["emnist_letters"]) | {"n_validation": 5})
    image = DataFolders.below(project).open(few)[1].train.images[0].reshape(28, 28)
    assert np.flatnonzero(image[10]).tolist() == [6, 7, 8]  # a bar at the left,
    assert np.flatnonzero(image[22]).tolist() == list(range(6, 14))  # and a foot

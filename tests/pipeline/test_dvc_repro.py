"""`dvc repro` as users know it: what is made, what is made again, what is shown; on the digits."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.pipeline.clone import Clone, accuracy, commit, n_runs, quick

pytestmark = [pytest.mark.slow, pytest.mark.dvc]
SKIPPED = "didn't change, skipping"
STAGES = 12


def test_a_part_of_the_pipeline_runs_once(tmp_path: Path) -> None:
    clone = quick(tmp_path / "a clone")
    said = clone.ok("dvc repro evaluate@relu")
    assert [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")] == [
        "download", "prepare", "train@relu", "evaluate@relu",
    ]  # fmt: skip
    assert accuracy(clone, "relu") > 0.85
    before = (clone.folder / "dvc.lock").read_bytes(), n_runs(clone)
    again = clone.ok("dvc repro evaluate@relu")
    assert (again.count("Running stage"), again.count(SKIPPED)) == (1, 3)
    assert ((clone.folder / "dvc.lock").read_bytes(), n_runs(clone)) == before


def test_a_second_repro_trains_nothing(clone: Clone) -> None:
    before = (clone.folder / "dvc.lock").read_bytes(), n_runs(clone)
    # What Python leaves beside the sources is no change of them.
    for cache in list(clone.folder.rglob("__pycache__")):
        shutil.rmtree(cache)
    said = clone.ok("dvc repro")
    assert (said.count("Running stage"), said.count(SKIPPED)) == (2, STAGES - 2), said
    assert ((clone.folder / "dvc.lock").read_bytes(), n_runs(clone)) == before
    assert clone.ok("git status --porcelain") == ""


def test_training_again_gives_the_same_lock(clone: Clone) -> None:
    before = (clone.folder / "dvc.lock").read_bytes(), n_runs(clone)
    clone.ok("dvc repro --force --single-item train@relu evaluate@relu search train_winner report")
    assert (clone.folder / "dvc.lock").read_bytes() == before[0]
    assert n_runs(clone) == before[1] + 2


def test_metrics_and_plots_are_shown(clone: Clone) -> None:
    metrics = json.loads(clone.ok("dvc metrics show --json"))[""]["data"]
    models = {file.split("/")[3]: found["data"] for file, found in metrics.items()}
    assert set(models) == {"sigmoid", "tanh", "relu", "winner"}
    numbers = [value for found in models.values() for split in found.values() for value in split.values()]
    assert {type(value) for value in numbers} <= {int, float}
    assert models["relu"]["test"]["accuracy"] == accuracy(clone, "relu")
    clone.ok("dvc plots show --out shown")
    page = (clone.folder / "shown/index.html").read_text()
    titles = ("Training accuracy per epoch", "Validation accuracy per epoch", "Test rows by label and prediction")
    for word in ("validation/accuracy", *titles):
        assert word in page
    curves = json.loads(clone.ok("dvc plots show --json training"))["data"]["training"][0]["content"]
    models_drawn = {row["filename"].split("/")[0] for row in curves["data"]["values"]}
    assert models_drawn == {"sigmoid", "tanh", "relu", "winner"}
    assert curves["encoding"]["color"]["field"] == "model"
    # The confusion template counts the rows of predictions.csv: every test image is one.
    assert page.count('"predicted"') > 360


def test_who_pulls_trains_nothing(clone: Clone, tmp_path: Path) -> None:
    clone.ok("dvc", "remote", "add", "--default", "results", str(tmp_path / "remote"))
    commit(clone, "a remote")
    clone.ok("dvc push")
    subprocess.run(["git", "clone", "--quiet", str(clone.folder), str(tmp_path / "second")], check=True)
    second = Clone(tmp_path / "second")
    second.set_up()
    second.ok("dvc pull")
    said = second.ok("dvc repro")
    assert (said.count("Running stage"), said.count(SKIPPED)) == (2, STAGES - 2), said
    assert not (second.folder / "mlflow.db").exists()
    assert accuracy(second, "winner") == accuracy(clone, "winner")
    assert second.ok("git status --porcelain") == ""


def test_dvc_sends_nothing_and_keeps_its_pickles_private(tmp_path: Path) -> None:
    clone = quick(tmp_path / "a clone")
    assert clone.ok("dvc config core.analytics").strip() == "false"
    cache = Path(clone.ok("dvc config core.site_cache_dir").strip())
    assert cache == clone.folder / ".dvc/site-cache"
    assert oct(cache.stat().st_mode & 0o777) == "0o700"
    clone.ok("dvc status")
    assert list(cache.rglob("*.db")) or list(cache.iterdir())

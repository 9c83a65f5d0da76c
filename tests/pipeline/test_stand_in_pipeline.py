"""Without a mirror the whole pipeline runs on the digits and says so everywhere; with one it is MNIST again."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from pipeline.compose import check
from pipeline.settings import TrainJob
from tests.pipeline.clone import NOBODY, Clone, cloned, quick
from tests.pipeline.doors import ROOT, tracked

pytestmark = [pytest.mark.slow, pytest.mark.dvc]
MODELS = ("sigmoid", "tanh", "relu", "winner")
SAID = "MNIST could not be downloaded (https://127.0.0.1:9/"
LEAST = 0.95


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, str]:
    """The pipeline as it is committed, run without a network; and all that it printed."""
    clone = cloned(tmp_path_factory.mktemp("stand in") / "clone")
    return clone, clone.ok("dvc repro", stderr=subprocess.STDOUT)


def test_it_ends_and_says_first_and_last_what_it_is(stand_in: tuple[Clone, str]) -> None:
    said = stand_in[1]
    assert said.index(SAID) < said.index("Running stage 'prepare'")
    assert said.rindex(SAID) > said.index("Running stage 'report'")
    assert "These results say nothing about MNIST." in said


@pytest.mark.parametrize("model", ["tanh", "relu"])
def test_the_networks_learn(stand_in: tuple[Clone, str], model: str) -> None:
    assert stand_in[0].json(f"artifacts/mnist/evaluate/{model}/metrics.json")["test"]["accuracy"] >= LEAST


@pytest.mark.parametrize("model", MODELS)
def test_metrics_and_model_say_digits(stand_in: tuple[Clone, str], model: str) -> None:
    clone = stand_in[0]
    lineage = clone.json(f"artifacts/mnist/evaluate/{model}/lineage.json")
    assert (lineage["dataset"], lineage["stands_in_for"]) == ("digits", "mnist")
    assert "name: digits" in (clone.folder / f"artifacts/mnist/train/{model}/config.yaml").read_text()


def test_the_manifest_says_digits(stand_in: tuple[Clone, str]) -> None:
    manifest = stand_in[0].json("data/prepared/mnist/manifest.json")
    assert (manifest["dataset"], manifest["stands_in_for"]) == ("digits", "mnist")


def test_experiment_and_study_say_digits(stand_in: tuple[Clone, str]) -> None:
    clone = stand_in[0]
    query = "select distinct experiments.name from runs join experiments using (experiment_id)"
    assert tracked(clone.folder, query) == [("digits",)]
    assert tracked(clone.folder, "select distinct name from datasets") == [("digits",)]
    assert clone.json("artifacts/mnist/search/summary.json")["study"].startswith("digits-")


def test_the_report_says_digits(stand_in: tuple[Clone, str]) -> None:
    page = (stand_in[0].folder / "artifacts/mnist/report/index.html").read_text()
    (title,) = re.findall("<h1>(.*?)</h1>", page)
    assert "digits" in title
    assert "stands in for MNIST" in page
    assert 'class="warning"' in page


def test_the_winner_is_not_registered(stand_in: tuple[Clone, str]) -> None:
    assert tracked(stand_in[0].folder, "select count(*) from registered_models") == [(0,)]


def test_no_published_row_takes_a_stand_in() -> None:
    # The winner's recipe alone goes with the data it was found on.
    names = sorted(file.stem for file in (ROOT / "conf/recipe").glob("*.yaml"))
    jobs = check("train", TrainJob, [f"recipe={','.join(names)}"], multirun=True)
    assert len(names) == len(jobs) > 11
    assert [name for name, job in zip(names, jobs, strict=True) if job.settings.data.fallback is not None] == []


def test_without_leave_the_stage_ends_with_3_and_each_mirrors_reason(tmp_path: Path) -> None:
    clone = quick(tmp_path / "clone")
    clone.replace("conf/data/mnist.yaml", "fallback: digits ", "fallback: null ")
    done = clone.run("dvc repro")
    assert done.returncode != 0
    assert "failed to run: python -m pipeline.download, exited with 3" in done.stderr
    reasons = done.stderr.partition("could not be downloaded (")[2].partition(")")[0].split("; ")
    assert [reason.endswith(": Connection refused") for reason in reasons] == [True] * 2, reasons
    assert "Traceback" not in done.stderr
    assert not (clone.folder / "data/prepared").exists()
    assert not (clone.folder / "mlflow.db").exists()


@pytest.mark.mnist
def test_with_a_mirror_back_the_next_repro_is_mnist_again(tmp_path: Path) -> None:
    mirror = os.environ.get("MNIST_MIRROR")
    if not mirror:
        pytest.skip("MNIST_MIRROR names no folder with the files")
    clone = quick(tmp_path / "clone")
    clone.ok("dvc repro")
    assert clone.json("artifacts/mnist/evaluate/relu/lineage.json")["dataset"] == "digits"
    said = clone.ok("dvc repro", MNIST_MIRROR=mirror)
    assert "could not be downloaded" not in said
    for model in MODELS:
        lineage = clone.json(f"artifacts/mnist/evaluate/{model}/lineage.json")
        assert (lineage["dataset"], lineage["stands_in_for"]) == ("mnist", None)
        assert clone.json(f"artifacts/mnist/evaluate/{model}/metrics.json")["test"]["n_samples"] == 10000
    assert "stands in for" not in (clone.folder / "artifacts/mnist/report/index.html").read_text()
    query = "select experiments.name, count(*) > 4 from runs join experiments using (experiment_id) group by 1"
    assert tracked(clone.folder, query) == [("digits", 1), ("mnist", 1)]
    # Of the two winners the one that was found on MNIST is the champion, and it knows its study.
    assert tracked(clone.folder, "select name, alias from registered_model_aliases") == [("mnist-mlp", "champion")]
    study = clone.json("artifacts/mnist/search/summary.json")["study"]
    assert tracked(clone.folder, "select value from model_version_tags where key = 'study'") == [(study,)]
    # And it stays so when the mirror is gone: a valid cache needs no connection.
    again = clone.ok("dvc repro", MNIST_MIRROR=NOBODY)
    assert again.count("Running stage") == 2

"""The tracking store at its worst: eight first starts at once, a server that is not there, one that goes away."""

import contextlib
import csv
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.doors import TINY, door, tracked, tree
from tests.pipeline.processes import count, end, end_of, mlflow_server, started, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]
N_STARTS, N_ROUNDS = 8, 3
N_EPOCHS = 1500
PASSWORD = "s3cr3t"
# Ten seconds on a machine of one's own.
LIMIT_S = 30
# MLflow waits 20 s for a locked file.
LOCKED_S = 25
NOBODY = f"http://me:{PASSWORD}@127.0.0.1:9"
OUTPUTS = ["batches.csv", "config.yaml", "curves.png", "history.csv", "model.npz"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder) as (address, _):
        yield address.replace("//", f"//me:{PASSWORD}@"), folder


def check_started(folder: Path) -> None:
    """All of one round are in one experiment, each finished."""
    assert tracked(folder, "select name from experiments where name != 'Default'") == [("digits",)]
    assert tracked(folder, "select status, count(*) from runs group by status") == [("FINISHED", N_STARTS)]
    assert tracked(folder, "select count(distinct experiment_id) from runs") == [(1,)]
    # Started within the same seconds, each has a folder of its own.
    written = [sorted(path.name for path in at.parent.iterdir()) for at in folder.glob("outputs/*/*/model.npz")]
    assert written == [OUTPUTS] * N_STARTS


@pytest.mark.parametrize("number", range(N_ROUNDS))
def test_eight_first_starts_at_once_share_one_experiment(tmp_path: Path, number: int) -> None:
    # Forked, they come to the store within the same moment.
    with contextlib.ExitStack() as stack:
        starts = [started(tmp_path, "train", *TINY, f"seed={seed}") for seed in range(N_STARTS)]
        done = [end_of(process) for process in list(map(stack.enter_context, starts))]
    said = "".join(run.stderr for run in done)
    assert ([run.returncode for run in done], "Traceback" in said) == ([0] * N_STARTS, False), said
    n_lacking = said.count("records, because it did not take them")
    assert said.count("warning:") == n_lacking, said
    if n_lacking:  # a machine with much else to do
        assert door(tmp_path, "doctor", "fix=true").returncode == 0
    check_started(tmp_path)


def test_a_file_that_another_process_keeps_for_long_gets_everything(tmp_path: Path) -> None:
    words = ("train", *TINY[:3], f"n_epochs={N_EPOCHS}", "learning_rate=0.01", "output_dir=model")
    with started(tmp_path, *words) as process:
        wait_until(lambda: count(tmp_path, "select count(*) from metrics") > 0, process)
        with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db", timeout=LIMIT_S)) as other:
            other.execute("begin exclusive")
            time.sleep(LOCKED_S)
            other.rollback()
        ended = end_of(process)
    assert (ended.returncode, ended.stderr.count("warning")) == (0, 0), ended.stderr
    assert tracked(tmp_path, "select status from runs") == [("FINISHED",)]
    assert tracked(tmp_path, "select count(*) from metrics where key = 'train/loss'") == [(N_EPOCHS,)]


def test_a_server_that_is_not_there_is_known_before_anything_is_made(tmp_path: Path) -> None:
    with started(tmp_path, "train", *TINY, MLFLOW_TRACKING_URI=NOBODY) as process:
        ended = end_of(process)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr.startswith("error: tracking.uri: http://***@127.0.0.1:9: ")
    assert "Connection refused; expected a store of MLflow that can be used. Start its server, or leave" in ended.stderr
    assert ended.seconds < LIMIT_S
    assert tree(tmp_path) == set()


@pytest.mark.parametrize(
    "words",
    [("train", "-m", *TINY, "seed=1,2"), ("search", "data=digits"), ("search", "-m", "data=digits", "worker=0,1")],
    ids=["a sweep", "a search", "workers"],
)
def test_no_door_that_trains_makes_anything_for_a_server_that_is_not_there(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = door(tmp_path, *words, f"tracking.uri={NOBODY}")
    assert (done.returncode, "Traceback" in done.stderr) == (4, False), done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert tree(tmp_path) == set()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with started(tmp_path, "train", *TINY, MLFLOW_TRACKING_URI=uri) as process:
            ended = end_of(process)
    assert (ended.returncode, "timed out" in ended.stderr) == (4, True), ended
    assert "Traceback" not in ended.stderr
    assert ended.seconds < LIMIT_S


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("sqlite:///damaged.db", "file is not a database"),
        ("sqlite:////proc/nowhere/mlflow.db", "No such file or directory"),
        (f"postgresql+nobody://me:{PASSWORD}@127.0.0.1/runs", "nobody"),
    ],
    ids=["damaged", "cannot be made", "no driver"],
)
def test_a_store_that_cannot_be_opened_is_named(tmp_path: Path, uri: str, named: str) -> None:
    (tmp_path / "damaged.db").write_bytes(b"no database" * 1000)
    done = door(tmp_path, "train", *TINY, MLFLOW_TRACKING_URI=uri)
    assert done.returncode == 4, done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_wrong_address_is_shown_without_its_password(tmp_path: Path) -> None:
    done = door(tmp_path, "train", *TINY, f"tracking.uri=htp://me:{PASSWORD}@host")
    assert done.returncode == 2
    assert "tracking.uri: 'htp://***@host'" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def test_a_server_gets_runs_metrics_and_files(server: tuple[str, Path], tmp_path: Path) -> None:
    uri, folder = server
    done = door(tmp_path, "train", *TINY, "output_dir=model", MLFLOW_TRACKING_URI=uri)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    done = door(tmp_path, "evaluate", "model_dir=model", MLFLOW_TRACKING_URI=uri)
    assert (done.returncode, done.stderr) == (0, "")
    run_id = json.loads((tmp_path / "model.run.json").read_text())["run_id"]
    of_run = f"where run_uuid = '{run_id}'"
    assert tracked(folder, f"select status from runs {of_run}") == [("FINISHED",)]
    keys = {key for (key,) in tracked(folder, f"select key from latest_metrics {of_run}")}
    assert keys >= {"train/loss", "validation/accuracy", "test/accuracy"}
    stored = {path.name for path in (folder / "mlartifacts").rglob(f"{run_id}/artifacts/*")}
    assert stored == {*OUTPUTS, "evaluation", "run.json"}
    assert not (tmp_path / "mlflow.db").exists()


def test_a_password_is_written_nowhere(server: tuple[str, Path], tmp_path: Path) -> None:
    uri, folder = server
    done = door(tmp_path, "train", *TINY, "-m", "seed=1,2", MLFLOW_TRACKING_URI=uri)
    assert done.returncode == 0, done.stderr
    files = [path for root in (tmp_path, folder) for path in root.rglob("*") if path.is_file()]
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    assert PASSWORD not in done.stdout + done.stderr


def test_a_password_on_the_command_line_does_not_reach_the_store(server: tuple[str, Path], tmp_path: Path) -> None:
    uri, folder = server
    done = door(tmp_path, "train", *TINY, "-m", "seed=1,2", f"tracking.uri={uri}")
    assert done.returncode == 0, done.stderr
    assert [path for path in folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()] == []
    assert PASSWORD not in done.stdout + done.stderr


def test_a_server_that_goes_away_stops_no_training(tmp_path: Path) -> None:
    words = ("train", *TINY[:3], f"n_epochs={N_EPOCHS}", "learning_rate=0.01")
    with (
        mlflow_server(tmp_path / "server") as (address, server),
        started(tmp_path, *words, "output_dir=model", MLFLOW_TRACKING_URI=address) as process,
    ):
        wait_until(lambda: count(tmp_path / "server", "select count(*) from metrics") > 0, process)
        end(server)
        ended, over = end_of(process), time.time()
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count(f"warning: tracking.uri: {address} does not answer (") == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert over - (tmp_path / "model/model.npz").stat().st_mtime < LIMIT_S
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == OUTPUTS
    assert tracked(tmp_path / "server", "select count(*) from metrics where key = 'train/loss'") < [(N_EPOCHS,)]
    # What the folder holds is the whole training, and nothing but it.
    proof = door(tmp_path, "verify", "model_dir=model")
    assert proof.returncode == 0, proof.stderr


def test_a_server_that_goes_away_stops_no_search(tmp_path: Path) -> None:
    words = ("data=digits", "n_epochs=100", "hidden_sizes=[33]", "space.dimensions.hidden_sizes.width.high=40")
    with (
        mlflow_server(tmp_path / "server") as (address, server),
        started(
            tmp_path,
            "search",
            *words,
            "search.n_trials=3",
            "search.pruner=none",
            "winner.top_k=1",
            "winner.n_seeds=1",
            MLFLOW_TRACKING_URI=address,
        ) as process,
    ):
        wait_until(lambda: count(tmp_path / "server", "select count(*) from metrics") > 0, process)
        end(server)
        ended = end_of(process)
    assert ended.returncode == 0, ended.stderr
    # The search says it of its own run, and the worker of its trials'.
    assert 1 <= ended.stderr.count("does not answer") <= 2, ended.stderr
    assert "Traceback" not in ended.stderr
    trials = csv.DictReader((tmp_path / "artifacts/digits/search/trials.csv").read_text().splitlines())
    assert [trial["state"] for trial in trials] == ["complete"] * 3

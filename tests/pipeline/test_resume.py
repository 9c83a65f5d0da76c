"""A training that is stopped keeps its epochs, and ``resume=true`` goes on with them in its own run."""

import os
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.pipeline.doors import TINY, door, tracked, tree
from tests.pipeline.processes import count, end_of, started, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.fault]
# An epoch takes some 100 ms, so that a signal comes between two others.
WORDS = (
    "data=digits", "activation=relu", "hidden_sizes=[900,900]", "batch_size=8", "n_epochs=12", "learning_rate=0.01",
    "optimizer=adam", "schedule=cosine", "dropout=0.1", "log_every=20",
)  # fmt: skip
CHECKPOINTS = "outputs/.checkpoints"
DOUBLED = "select key, step, count(*) from metrics group by run_uuid, key, step having count(*) > 1"


def weights(folder: Path) -> list[str]:
    return [value for (value,) in tracked(folder, "select value from tags where key = 'weights_hash'")]


def kept(folder: Path) -> list[int]:
    """Return the epochs that are kept, the newest last."""
    return sorted(int(path.stem.removeprefix("epoch-")) for path in folder.glob(f"{CHECKPOINTS}/*/epoch-*.ckpt"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which that training was not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    done = door(folder, "train", *WORDS, "output_dir=model")
    assert (done.returncode, "resume" in done.stderr) == (0, False), done.stderr
    return folder


@pytest.fixture
def project(tmp_path: Path, whole: Path) -> Path:
    (tmp_path / "data").symlink_to(whole / "data")
    return tmp_path


def stop(project: Path, *words: str, after: int, number: signal.Signals) -> str:
    """Start the training, send a signal when so many epochs are kept, and return what it said."""
    before = max(kept(project), default=0)  # on a busy machine an earlier signal came late
    with started(project, "train", *WORDS, *words) as process:
        wait_until(lambda: max(kept(project), default=0) >= max(after, before + 1), process)
        os.killpg(process.pid, number)
        ended = end_of(process)
    assert ended.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number], ended.stderr
    return ended.stderr


@pytest.mark.parametrize("after", [1, 4, 9])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill"])
def test_a_stopped_training_goes_on_to_the_same_weights_in_the_same_run(
    project: Path, whole: Path, number: signal.Signals, after: int
) -> None:
    said = stop(project, after=after, number=number)
    epochs = kept(project)
    # A signal may come when the newest is written and the oldest still there.
    assert (len(epochs) <= 3, epochs[-1] >= after) == (True, True)
    ctrl_c = f"{CHECKPOINTS} keeps it up to epoch {epochs[-1]} of 12: the same command with resume=true goes on"
    assert (ctrl_c in said) == (number is signal.SIGINT)
    done = door(project, "train", *WORDS, "output_dir=model", "resume=true")
    # A busy machine takes so long that its progress is told, too.
    assert (done.returncode, done.stderr.splitlines()[0]) == (0, f"goes on after epoch {epochs[-1]} of 12")
    assert re.search(rf"12 epochs in [\d.]+ s, {epochs[-1]} of them before$", done.stdout, re.MULTILINE)
    assert (project / "model/model.npz").read_bytes() == (whole / "model/model.npz").read_bytes()
    assert (project / "model/history.csv").read_bytes() == (whole / "model/history.csv").read_bytes()
    assert weights(project) == weights(whole)
    assert tracked(project, "select status from runs") == [("FINISHED",)]
    assert tracked(project, DOUBLED) == []
    per_step = "select key, step, value from metrics where key not in ('samples_per_s') order by key, step"
    assert tracked(project, per_step) == tracked(whole, per_step)
    assert tracked(project, "select count(*) from inputs") == tracked(whole, "select count(*) from inputs")
    assert not (project / CHECKPOINTS).exists()


def test_a_training_may_be_stopped_again_and_again(project: Path, whole: Path) -> None:
    for after, number in ((2, signal.SIGKILL), (5, signal.SIGTERM), (8, signal.SIGINT)):
        stop(project, "resume=true", after=after, number=number)
    assert door(project, "train", *WORDS, "resume=true").returncode == 0
    assert weights(project) == weights(whole)
    assert (tracked(project, "select status from runs"), tracked(project, DOUBLED)) == ([("FINISHED",)], [])


def test_without_resume_it_starts_anew_and_says_what_is_kept(project: Path, whole: Path) -> None:
    stop(project, after=3, number=signal.SIGKILL)
    newest = kept(project)[-1]
    done = door(project, "train", *WORDS)
    assert done.returncode == 0
    assert f"is kept up to epoch {newest} of 12; this one starts from the beginning" in done.stderr
    assert weights(project) == weights(whole)
    assert sorted(tracked(project, "select status from runs")) == [("FAILED",), ("FINISHED",)]
    assert not (project / CHECKPOINTS).exists()


def test_the_jobs_of_a_sweep_go_on_in_a_new_sweep(project: Path, whole: Path) -> None:
    stop(project, "-m", "seed=0,1", after=3, number=signal.SIGINT)
    done = door(project, "train", *WORDS, "-m", "seed=0,1", "resume=true")
    assert done.returncode == 0, done.stderr
    assert "goes on after epoch" in done.stderr
    assert weights(whole)[0] in weights(project)
    assert sorted(tracked(project, "select status from runs")) == [("FINISHED",)] * 3 + [("KILLED",)]
    (parent,) = tracked(project, "select run_uuid from runs where name like 'sweep%' and status = 'FINISHED'")
    assert tracked(project, "select distinct value from tags where key = 'mlflow.parentRunId'") == [parent]


def test_a_deleted_run_is_not_gone_on_with(project: Path, whole: Path) -> None:
    stop(project, after=3, number=signal.SIGINT)
    with closing(sqlite3.connect(project / "mlflow.db")) as store, store:
        store.execute("update runs set lifecycle_stage = 'deleted'")
    done = door(project, "train", *WORDS, "resume=true")
    assert (done.returncode, "is deleted" in done.stderr) == (0, True)
    assert sorted(tracked(project, "select status from runs")) == [("FINISHED",), ("KILLED",)]
    assert weights(project) == weights(whole)
    every = "select count(*) from metrics where run_uuid in (select run_uuid from runs where status = 'FINISHED')"
    assert tracked(project, every) == tracked(whole, every)


def test_two_equal_trainings_at_once_do_not_disturb_each_other(project: Path, whole: Path) -> None:
    with started(project, "train", *WORDS) as first:
        wait_until(lambda: max(kept(project), default=0) >= 1, first)
        second = door(project, "train", *WORDS, "resume=true")
        assert end_of(first).returncode == 0
    assert (second.returncode, "another process does this training now" in second.stderr) == (0, True)
    assert weights(project) == weights(whole) * 2
    assert tracked(project, DOUBLED) == []


def test_a_diverged_training_keeps_nothing(tmp_path: Path) -> None:
    done = door(tmp_path, "train", *TINY[:3], "n_epochs=60", "learning_rate=1e10", "activation=relu")
    assert done.returncode == 5
    assert not (tmp_path / CHECKPOINTS).exists()


def test_resume_with_nothing_kept_says_so(project: Path) -> None:
    done = door(project, "train", *TINY, "resume=true")
    assert (done.returncode, "nothing is kept of a training with these settings" in done.stderr) == (0, True)


def test_a_search_refuses_resume(tmp_path: Path) -> None:
    done = door(tmp_path, "search", "resume=true")
    assert (done.returncode, "a search always goes on" in done.stderr) == (2, True)
    assert tree(tmp_path) == set()


def test_ctrl_c_before_the_first_epoch_says_that_nothing_is_kept(project: Path) -> None:
    with started(project, "train", *WORDS[:2], "hidden_sizes=[4000,4000]", "batch_size=1") as process:
        wait_until(lambda: count(project, "select count(*) from runs") == 1, process)
        wait_until(lambda: any(project.glob(f"{CHECKPOINTS}/*.lock")), process)
        os.killpg(process.pid, signal.SIGINT)
        ended = end_of(process)
    assert (ended.returncode, "Nothing is kept of it: no epoch had ended." in ended.stderr) == (130, True)

"""Which project this is, and which of its runs are at work: locks that end with their process, however it ends."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlpsweep.errors import StorageError
from mlpsweep.tracking.project import (
    RUNNING,
    hold_running,
    is_running,
    judging,
    left_running,
    project_id,
    project_tags,
    remove_left,
    starting,
)
from tests.forked import FORKS, Forked

RUN, OTHER = "a" * 32, "b" * 32


def hold(run_id: str, folder: str) -> None:
    lock = hold_running(run_id, Path(folder))
    Path(folder, "held").touch()
    time.sleep(600)
    lock.release()


@contextmanager
def holding(folder: Path, run_id: str = RUN) -> Iterator[Forked]:
    """A process of its own that holds a run."""
    process = Forked(f"{__name__}:hold", (run_id, str(folder)), folder, dict(os.environ))
    try:
        while not (folder / "held").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_project_keeps_its_id_and_another_has_another(tmp_path: Path) -> None:
    one, other = project_id(tmp_path / "one"), project_id(tmp_path / "other")
    assert (project_id(tmp_path / "one"), len(one), one == other) == (one, 32, False)
    assert sorted(path.name for path in (tmp_path / "one/mlruns").iterdir()) == [".project"]


def name_project(folder: str) -> None:
    Path(folder, f"{os.getpid()}.id").write_text(project_id(Path(folder)))


def test_processes_that_start_at_once_agree_on_the_id(tmp_path: Path) -> None:
    starts = [FORKS.Process(target=name_project, args=(str(tmp_path),)) for _ in range(6)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len({file.read_text() for file in tmp_path.glob("*.id")}) == 1
    assert len(list(tmp_path.glob("*.id"))) == 6


@pytest.mark.parametrize(
    "content", [b"", b"me\n", b"\xff\xfe", b"a" * 33], ids=["empty", "a word", "binary", "too long"]
)
def test_an_id_that_is_none_is_told_and_kept(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mlruns/.project"
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(StorageError, match=r"mlruns/\.project: .*expected an id of 32 hexadecimal digits. Delete it"):
        project_tags(tmp_path)
    assert file.read_bytes() == content


def test_a_run_is_at_work_until_it_is_released(tmp_path: Path) -> None:
    with hold_running(RUN, tmp_path) as lock:
        assert is_running(RUN, tmp_path)
        assert not is_running(OTHER, tmp_path)
        assert left_running(tmp_path) == []
    lock.release()
    assert not is_running(RUN, tmp_path)
    assert list((tmp_path / RUNNING).iterdir()) == []


@pytest.mark.slow
def test_a_killed_process_holds_nothing_and_leaves_its_file(tmp_path: Path) -> None:
    with holding(tmp_path) as process:
        assert is_running(RUN, tmp_path)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not is_running(RUN, tmp_path)
        (left,) = left_running(tmp_path)
    assert left == tmp_path / RUNNING / RUN
    remove_left(left)
    assert not left.exists()


@pytest.mark.slow
def test_a_run_of_several_processes_is_at_work_until_the_last_one_ends(tmp_path: Path) -> None:
    with holding(tmp_path) as process:
        hold_running(RUN, tmp_path).release()
        remove_left(tmp_path / RUNNING / RUN)
        assert is_running(RUN, tmp_path)
        assert (tmp_path / RUNNING / RUN).exists()
        process.kill()
        process.wait()
        assert not is_running(RUN, tmp_path)


def test_a_lock_taken_while_its_file_goes_is_on_the_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlpsweep.tracking import project

    file, real = tmp_path / RUNNING / RUN, project.fcntl.flock
    gone: list[bool] = []

    def lose(stream: object, kind: int) -> None:
        real(stream, kind)
        if not gone:
            gone.append(True)
            file.unlink()

    monkeypatch.setattr(project.fcntl, "flock", lose)
    with hold_running(RUN, tmp_path):
        assert file.exists()
        assert is_running(RUN, tmp_path)


def judge(folder: str) -> None:
    with judging(Path(folder)):
        Path(folder, "judged").touch()


def test_nobody_judges_while_a_run_is_created(tmp_path: Path) -> None:
    judge_process = FORKS.Process(target=judge, args=(str(tmp_path),))
    with starting(tmp_path), starting(tmp_path):
        judge_process.start()
        judge_process.join(0.5)
        assert not (tmp_path / "judged").exists()
    judge_process.join()
    assert (tmp_path / "judged").exists()
    assert left_running(tmp_path) == []

"""Files: whole or absent, with the usual permissions, and no leftovers."""

import math
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlpsweep import files
from mlpsweep.errors import DataError, DataFormatError
from mlpsweep.files import lock, open_atomic, read_json, sha256_file, write_atomic, write_json
from mlpsweep.training.checkpoint import Checkpoint, CheckpointStore


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    write_atomic(path, b"old")
    with pytest.raises(TypeError, match="bytes"), open_atomic(path) as stream:
        stream.writelines([b"half", "not bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    write_atomic(tmp_path / "ours", b"")
    (tmp_path / "theirs").touch()
    assert stat.S_IMODE(os.stat(tmp_path / "ours").st_mode) == stat.S_IMODE(os.stat(tmp_path / "theirs").st_mode)


def test_json_comes_back_and_has_one_form(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"b": 1, "a": [0.1]})
    write_json(tmp_path / "b", {"a": [0.1], "b": 1})
    assert read_json(tmp_path / "a") == {"a": [0.1], "b": 1}
    assert sha256_file(tmp_path / "a") == sha256_file(tmp_path / "b")


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nan"):
        write_json(tmp_path / "a", math.nan)
    assert not (tmp_path / "a").exists()


def test_missing_and_broken_json_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.json: no such file"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataFormatError, match=r"a\.json: not JSON"):
        read_json(tmp_path / "a.json")


def killed_at_sync(write: Callable[[], object]) -> None:
    """Write in a child that is killed when all bytes are written and the file has not got its name."""
    child = os.fork()
    if child == 0:
        files.os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[attr-defined]
        write()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_writer_left_is_swept_by_the_next_write_into_its_folder(tmp_path: Path) -> None:
    killed_at_sync(lambda: write_atomic(tmp_path / "model.npz", b"half"))
    assert [name.endswith(".part") for name in names(tmp_path)] == [True]
    write_atomic(tmp_path / "history.csv", b"whole")
    assert names(tmp_path) == ["history.csv"]


def test_a_kill_at_a_checkpoint_leaves_nothing_once_the_training_goes_on(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints")
    one, two = (Checkpoint("a" * 64, epoch, {}, {"w": np.zeros(3, np.float32)}) for epoch in (1, 2))
    store.save(one)
    killed_at_sync(lambda: store.save(two))
    assert len(names(store.folder)) == 2
    store.save(two)
    assert names(store.folder) == ["epoch-000001.ckpt", "epoch-000002.ckpt"]
    killed_at_sync(lambda: store.save(two))
    store.clear()
    assert not store.folder.exists()


def test_what_somebody_writes_is_left_alone(tmp_path: Path) -> None:
    for foreign in (".film.part", "a.part"):
        (tmp_path / foreign).touch()
    with open_atomic(tmp_path / "model.npz") as stream:
        stream.write(b"model")
        write_atomic(tmp_path / "history.csv", b"rows")
    assert names(tmp_path) == [".film.part", "a.part", "history.csv", "model.npz"]


def test_a_part_that_is_swept_before_it_is_locked_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock_too_late(stream: object) -> bool:
        monkeypatch.setattr(files, "lock", lock)
        files.sweep(tmp_path)
        return True

    monkeypatch.setattr(files, "lock", lock_too_late)
    write_atomic(tmp_path / "model.npz", b"model")
    assert names(tmp_path) == ["model.npz"]

"""Folders of a command line: which cannot be, and how a new one is made."""

import os
from pathlib import Path

import pytest

from pipeline.folders import MAX_NAME, new_folder, unusable


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "'' names no folder"),
        (" ", "names no folder"),
        (None, "None names no folder"),
        ("a\0b", "holds a character that no file system takes"),
        ("\ud800", "holds a character that no file system takes"),
        ("x${y}", "holds a reference"),
        ("a" * (MAX_NAME + 1), "is too long"),
        ("é" * MAX_NAME, "is too long"),
        ("a/" * 2500, "is too long"),
        ("/", "is the root of all files"),
        ("/usr/..", "is the root of all files"),
        ("/proc", "in a file system of the kernel"),
        ("/proc/self/x", "in a file system of the kernel"),
        ("/dev/null", "in a file system of the kernel"),
        ("/sys/x", "in a file system of the kernel"),
        ("to_proc/x", "in a file system of the kernel"),
        ("file", "file is a file"),
        ("file/a/b", "which is a file"),
        ("loop/x", "cannot be reached"),
        ("nowhere", "a link that leads nowhere"),
        ("nowhere/x", "a link that leads nowhere"),
        ("pipe", "pipe is a file"),
    ],
)  # fmt: skip
def test_a_path_that_cannot_be_a_folder_is_told_why(tmp_path: Path, value: object, reason: str) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, target in {"to_proc": "/proc", "loop": "loop", "nowhere": "gone"}.items():
        (tmp_path / name).symlink_to(target)
    (message,) = unusable("output_dir", value)
    assert message.startswith("output_dir: ")
    assert reason in message
    assert len(message) < 500


@pytest.mark.parametrize(
    "value", [".", "..", "a/../b", "new/er/est", "o'brien, the [1st]", "/dev/shm/x", "a" * MAX_NAME]
)
def test_a_path_that_can_be_a_folder_is_taken(value: str) -> None:
    assert list(unusable("output_dir", value)) == []


def test_a_new_folder_has_a_name_of_its_own_and_goes_if_it_stays_empty(tmp_path: Path) -> None:
    with new_folder(Path("a/b")) as first, new_folder(Path("a/b")) as second:
        assert (first, second) == (Path("a/b"), Path("a/b-1"))
        (second / "x").touch()
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a/b-1", tmp_path / "a/b-1/x"]


@pytest.mark.parametrize("name", [".", "..", "", "./"])
def test_the_current_folder_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    with new_folder(Path(name)) as folder:
        assert folder == (tmp_path / name).resolve()
    assert folder.is_dir()

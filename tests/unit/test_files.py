"""Files: whole or absent, with the usual permissions, and no leftovers."""

import math
import os
import stat
from pathlib import Path

import pytest

from mlpsweep.errors import DataError, DataFormatError
from mlpsweep.files import open_atomic, read_json, sha256_file, write_atomic, write_json


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

"""Files are known by their contents: other names, other packings, in a mirror's folder and in data/raw."""

import bz2
import gzip
import hashlib
import lzma
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.data.download import download
from mlpsweep.data.preprocess import prepare
from mlpsweep.data.source import Source
from mlpsweep.errors import DataError
from mlpsweep.settings import DataSettings
from tests.faults.download_lab import FILES
from tests.raw_files import NAMES, ROLES, fill, settings_of, small_contents, snapshot

pytestmark = pytest.mark.usefixtures("no_mirror")
CONTENTS = small_contents()


def archive(folder: Path, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / "archive.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for role, raw in contents.items():
            packed.writestr(f"{NAMES[role]}/{NAMES[role]}", raw)


def each(name: Callable[[str], str], pack: Callable[[bytes], bytes]) -> Callable[[Path, dict[str, bytes]], None]:
    """Return what writes each contents under a name of its own."""

    def write(folder: Path, contents: dict[str, bytes]) -> None:
        for role, raw in contents.items():
            path = folder / name(NAMES[role].removesuffix(".gz"))
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(pack(raw))

    return write


def dotted(name: str) -> str:
    return name.replace("-idx", ".idx")


WAYS: dict[str, Callable[[Path, dict[str, bytes]], None]] = {
    "unpacked": each(str, bytes),
    "Kaggle's dots": each(dotted, bytes),
    "a folder for each": each(lambda name: f"{name}/{name}", bytes),
    "packed anew": each(lambda name: f"{name}.gz", lambda raw: gzip.compress(raw, 1, mtime=7)),
    "packed anew with dots": each(lambda name: f"{dotted(name)}.gz", lambda raw: gzip.compress(raw, 1, mtime=7)),
    "bzip2": each(lambda name: f"{name}.bz2", bz2.compress),
    "xz under the name of gzip": each(lambda name: f"{name}.gz", lzma.compress),
    "one archive": archive,
    "no names": each(lambda name: hashlib.md5(name.encode()).hexdigest(), bytes),  # noqa: S324
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@pytest.fixture
def settings() -> DataSettings:
    described = settings_of(FILES)
    for role, values in described.files.items():
        values["contents_sha256"] = hashlib.sha256(CONTENTS[role]).hexdigest()
    return described


@each_way
def test_files_of_a_mirror_are_found_by_contents(
    way: Any, settings: DataSettings, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    way(mirror, CONTENTS)
    monkeypatch.setenv("MNIST_MIRROR", str(mirror))
    before = snapshot(mirror)
    assert download(settings, folder) == Source("mnist")
    assert snapshot(mirror) == before
    assert prepare(settings, folder, tmp_path / "prepared").digest == prepared_as_usual(tmp_path)


@each_way
def test_files_in_the_raw_folder_are_found_by_contents(
    way: Any, settings: DataSettings, tmp_path: Path, folder: Path
) -> None:
    folder.mkdir(parents=True)
    way(folder, CONTENTS)
    assert download(settings, folder) == Source("mnist")
    assert prepare(settings, folder, tmp_path / "prepared").digest == prepared_as_usual(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert download(settings, folder) == Source("mnist")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def prepared_as_usual(tmp_path: Path) -> str:
    """Return the digest of the same data from files as they are downloaded, described without their contents."""
    raw = fill(tmp_path / "usual raw", FILES)
    return prepare(settings_of(FILES), raw, tmp_path / "usual").digest


def test_what_is_taken_does_not_depend_on_who_packed_it(settings: DataSettings, tmp_path: Path) -> None:
    taken = []
    for number, level in enumerate((1, 9)):
        raw = tmp_path / str(number) / "mnist"
        raw.mkdir(parents=True)
        for role, contents in CONTENTS.items():
            (tmp_path / str(number) / "mnist" / f"{role}.gz").write_bytes(gzip.compress(contents, level, mtime=level))
        download(settings, raw)
        taken.append({name: data for name, data in snapshot(raw).items() if not name.endswith(".gz")})
    assert taken[0] == taken[1]
    assert set(taken[0]) == {*(name.replace(".gz", ".idx") for name in NAMES.values()), "source.json"}


@pytest.mark.parametrize("role", ROLES)
def test_one_file_with_another_byte_is_not_taken(
    role: str, settings: DataSettings, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = bytearray(CONTENTS[role])
    changed[-1] ^= 1
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    WAYS["Kaggle's dots"](mirror, CONTENTS | {role: bytes(changed)})
    monkeypatch.setenv("MNIST_MIRROR", str(mirror))
    with pytest.raises(DataError, match=f"{NAMES[role]}: No such file or directory, and no other file here has its"):
        download(settings, folder)


@pytest.mark.parametrize("place", ["mirror", "raw"])
@pytest.mark.parametrize("name", [NAMES["train_images"], "train-images.idx3-ubyte", "notes"])
def test_a_pipe_among_the_files_does_not_hang(
    place: str, name: str, settings: DataSettings, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    monkeypatch.setenv("MNIST_MIRROR", str(mirror))
    for path in (mirror, folder):
        path.mkdir(parents=True)
    WAYS["Kaggle's dots"](mirror, {role: raw for role, raw in CONTENTS.items() if role != "train_images"})
    os.mkfifo((mirror if place == "mirror" else folder) / name)
    with pytest.raises(DataError, match=f"still to fetch: {NAMES['train_images']}"):
        download(settings, folder)


def test_a_pipe_beside_good_files_is_passed_over(
    settings: DataSettings, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = fill(tmp_path / "mirror", FILES)
    os.mkfifo(mirror / "a pipe")
    (mirror / NAMES["test_labels"]).rename(mirror / "labels")
    os.mkfifo(mirror / NAMES["test_labels"])
    monkeypatch.setenv("MNIST_MIRROR", str(mirror))
    assert download(settings, folder) == Source("mnist")


def test_files_without_a_known_contents_are_taken_under_another_name(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = fill(tmp_path / "mirror", FILES)
    for role, name in NAMES.items():
        (mirror / name).rename(mirror / role)
    monkeypatch.setenv("MNIST_MIRROR", str(mirror))
    assert download(settings_of(FILES), folder) == Source("mnist")
    assert {role: (folder / name).read_bytes() for role, name in NAMES.items()} == FILES

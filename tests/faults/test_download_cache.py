"""The download stage and what it finds: a mirror named by the environment, a damaged cache, a full disk."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from mlpsweep.data.download import download
from mlpsweep.data.ready import DataFolders
from mlpsweep.data.source import Source
from mlpsweep.errors import DataError, SettingsError, StorageError
from tests.faults.download_lab import FILES, NOBODY, SERVED, assert_complete, assert_no_leftovers, fetch
from tests.faults.faulty_http import FaultyServer
from tests.raw_files import NAMES, ROLES, fill, flip, settings_of, snapshot

pytestmark = pytest.mark.usefixtures("no_mirror")


def test_mirror_of_the_environment_goes_first(
    good: FaultyServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyServer(SERVED) as server:
        monkeypatch.setenv("MNIST_MIRROR", server.url)
        fetch(folder, good.url)
        assert (server.n_requests, good.n_requests) == (4, 0)


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_folder_is_a_mirror(form: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = fill(tmp_path / "mirror with blanks", FILES, with_source=False)
    monkeypatch.setenv("MNIST_MIRROR", form.format(mirror).replace(" ", "%20" if "file:" in form else " "))
    assert fetch(folder) == Source("mnist")
    assert_complete(folder)


def test_damaged_folder_leaves_the_other_mirrors(
    good: FaultyServer, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = fill(tmp_path / "mirror", FILES)
    flip(mirror / NAMES["train_images"], 100)
    monkeypatch.setenv("MNIST_MIRROR", str(mirror))
    fetch(folder, good.url)
    assert good.n_requests >= 1
    assert_complete(folder)


def test_folder_without_the_files_was_reached(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_MIRROR", str(tmp_path))
    with pytest.raises(DataError, match="train-images-idx3-ubyte.gz: No such file or directory"):
        fetch(folder, fallback="digits", allow_fallback=True)


@pytest.mark.parametrize("named", ["{}/nowhere", "file://{}/nowhere", NOBODY, "http://127.0.0.1:9/"])
def test_a_place_that_the_user_named_and_that_is_not_there_has_no_stand_in(
    named: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_MIRROR", named.format(tmp_path))
    with pytest.raises(
        DataError, match=r"The place that MNIST_MIRROR names is not there, .*: mend MNIST_MIRROR"
    ) as told:
        fetch(folder, NOBODY, fallback="digits", allow_fallback=True)
    assert told.value.exit_code == 3
    assert f"({named.format(tmp_path)}: " in str(told.value)
    assert snapshot(folder) == {}


@pytest.mark.parametrize("variable", ["http://mirror.example/", "ftp://a.example/"])
def test_a_mirror_that_may_not_be_used_leaves_nothing(
    variable: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_MIRROR", variable)
    with pytest.raises(SettingsError):
        fetch(folder)
    with pytest.raises(SettingsError):
        DataFolders.below(tmp_path).open(settings_of(FILES))
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_described_leave_nothing(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(SettingsError):
        download(dataclasses.replace(settings_of(FILES), files={}), folder)
    assert list(tmp_path.iterdir()) == []


def test_mirror_that_may_not_be_used_ends_before_anything_is_asked(
    good: FaultyServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_MIRROR", "http://mirror.example/")
    with pytest.raises(SettingsError, match="MNIST_MIRROR: 'http://mirror.example/' may not be used"):
        fetch(folder, good.url)
    assert good.n_connections == 0


def test_valid_cache_needs_no_connection(good: FaultyServer, folder: Path) -> None:
    fetch(folder, good.url)
    before, n_connections = {path: path.stat().st_mtime_ns for path in folder.iterdir()}, good.n_connections
    assert fetch(folder, good.url) == Source("mnist")
    assert good.n_connections == n_connections == 4
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_files_put_there_by_hand_are_a_valid_cache(good: FaultyServer, folder: Path) -> None:
    fill(folder, FILES, with_source=False)
    fetch(folder, good.url)
    assert good.n_connections == 0
    assert_complete(folder)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.999])
def test_cut_file_is_fetched_again(role: str, share: float, good: FaultyServer, folder: Path) -> None:
    path = fill(folder, FILES) / NAMES[role]
    os.truncate(path, int(share * path.stat().st_size))
    fetch(folder, good.url)
    assert good.n_requests == 1
    assert_complete(folder)
    assert_no_leftovers(folder)


@pytest.mark.parametrize("name", [*SERVED, "source.json"])
def test_one_flipped_byte_is_repaired(name: str, good: FaultyServer, folder: Path) -> None:
    flip(fill(folder, FILES) / name, 10)
    fetch(folder, good.url)
    assert_complete(folder)


@pytest.mark.parametrize("name", SERVED)
def test_damaged_file_is_never_replaced_by_the_stand_in(name: str, folder: Path) -> None:
    flip(fill(folder, FILES) / name, 10)
    before = snapshot(folder)
    with pytest.raises(DataError, match=rf"still to fetch: {name} \(damaged\)"):
        fetch(folder, NOBODY, fallback="digits", allow_fallback=True)
    assert snapshot(folder) == before


@pytest.mark.parametrize("seed", range(100))
def test_a_flip_anywhere_without_a_mirror_ends_the_stage(seed: int, folder: Path) -> None:
    rng = np.random.default_rng(seed)
    path = fill(folder, FILES) / NAMES[ROLES[rng.integers(4)]]
    flip(path, int(rng.integers(path.stat().st_size)), int(rng.integers(1, 256)))
    with pytest.raises(DataError, match=rf"\(no mirror is set\); still to fetch: {path.name} \(damaged\)"):
        fetch(folder)


def test_leftovers_of_a_killed_process_are_swept(good: FaultyServer, folder: Path) -> None:
    fill(folder, FILES)
    (folder / ".train-images-idx3-ubyte.gz.x7a0b_12.part").write_bytes(b"half")
    fetch(folder, good.url)
    assert_complete(folder)


def test_other_files_of_the_folder_are_left_alone(good: FaultyServer, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    fetch(folder, good.url)
    assert (folder / "notes.txt").read_text() == "mine"


def test_progress_is_told_in_bytes(good: FaultyServer, folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    settings = settings_of(FILES, mirrors=(good.url,))
    download(settings, folder, progress=lambda *facts: told.append(facts))
    last = {name: (n_read, n_promised) for name, n_read, n_promised in told}
    assert last == {name: (len(raw), len(raw)) for name, raw in SERVED.items()}


def test_folder_that_is_a_file_is_a_storage_error(good: FaultyServer, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file")
    with pytest.raises(StorageError, match="mnist: File exists; expected a folder that can be written"):
        fetch(folder, good.url)

"""Checksums that nobody declared: recorded at the first download, said aloud, and checked from then on."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from mlpsweep.data.ready import DataFolders
from mlpsweep.errors import ChecksumError, DataError, DataFormatError
from mlpsweep.files import sha256_file
from mlpsweep.settings import DataSettings
from tests.own_sets import WRITERS, csv_text, table_rows, write_csv
from tests.raw_files import NAMES, fill, flip, settings_of, small_files, snapshot


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def folders(tmp_path: Path, said: list[str]) -> DataFolders:
    return dataclasses.replace(DataFolders.below(tmp_path / "project"), notify=said.append)


@pytest.fixture
def undeclared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSettings:
    """A set without checksums whose files a mirror has."""
    monkeypatch.setenv("MNIST_MIRROR", str(fill(tmp_path / "mirror", small_files(), with_source=False)))
    settings = settings_of(small_files())
    for values in settings.files.values():
        values |= {"sha256": None, "n_bytes": None}
    return settings


def lock_of(folders: DataFolders, name: str) -> dict[str, str]:
    values: dict[str, str] = json.loads((folders.raw / name / "lock.json").read_text())
    return values


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_of_ones_own_is_recorded_said_and_left_where_it_is(
    form: str, tmp_path: Path, folders: DataFolders, said: list[str]
) -> None:
    settings = WRITERS[form](tmp_path / "given")
    before = snapshot(tmp_path / "given")
    folders.download(settings)
    lock = lock_of(folders, settings.name)
    assert [sentence for sentence in said if "no SHA-256 is declared" in sentence] == said
    assert all(any(digest in sentence for sentence in said) for digest in lock.values())
    assert len(said) == len(lock) == (4 if form == "idx" else 1)
    assert set(snapshot(folders.raw / settings.name)) == {"lock.json", "source.json"}
    assert snapshot(tmp_path / "given") == before
    said.clear()
    folders.download(settings)
    folders.prepare(settings)
    assert (said, lock_of(folders, settings.name)) == ([], lock)


def test_files_of_a_mirror_are_recorded(folders: DataFolders, undeclared: DataSettings, said: list[str]) -> None:
    folders.download(undeclared)
    raw = folders.raw / "mnist"
    assert lock_of(folders, "mnist") == {role: sha256_file(raw / name) for role, name in NAMES.items()}
    assert len(said) == 4
    folders.prepare(undeclared)


def test_declared_checksums_need_no_record(folders: DataFolders, undeclared: DataSettings) -> None:
    folders.download(settings_of(small_files()))
    assert set(snapshot(folders.raw / "mnist")) == {*NAMES.values(), "source.json"}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("act", [DataFolders.download, DataFolders.prepare])
def test_a_file_that_changed_is_refused_until_the_record_is_deleted(
    form: str, act: "type", tmp_path: Path, folders: DataFolders
) -> None:
    settings = WRITERS[form](tmp_path / "given")
    folders.download(settings)
    path = sorted(path for path in (tmp_path / "given").rglob("*") if path.is_file())[-1]
    if form == "csv":
        path.write_text(csv_text(table_rows(41)))
    else:
        shutil.copy(sorted(path.parent.iterdir())[0], path) if form == "images" else flip(path, 30)
    with pytest.raises(
        ChecksumError, match=r"not what it was, its SHA-256 is \w{64}; expected \w{64}.* delete .*lock.json"
    ):
        act(folders, settings)
    if form == "csv":
        (folders.raw / settings.name / "lock.json").unlink()
        folders.download(settings)
        folders.prepare(settings)
        assert sum(folders.open(settings)[1].manifest.counts.values()) == 41


def test_a_damaged_file_of_a_mirror_is_fetched_again(folders: DataFolders, undeclared: DataSettings) -> None:
    folders.download(undeclared)
    before = snapshot(folders.raw / "mnist")
    flip(folders.raw / "mnist" / NAMES["train_images"], 100)
    with pytest.raises(ChecksumError, match=r"the file is damaged, its SHA-256 is \w{64}; expected \w{64}"):
        folders.prepare(undeclared)
    folders.download(undeclared)
    assert snapshot(folders.raw / "mnist") == before


def test_a_mirror_that_sends_another_file_later_is_not_believed(
    tmp_path: Path, folders: DataFolders, undeclared: DataSettings
) -> None:
    folders.download(undeclared)
    (folders.raw / "mnist" / NAMES["train_labels"]).unlink()
    flip(tmp_path / "mirror" / NAMES["train_labels"], 30)
    with pytest.raises(DataError, match=r"wrong contents, .* SHA-256 \w{64} instead of \w{64}"):
        folders.download(undeclared)


def test_what_is_no_data_is_neither_recorded_nor_kept(
    tmp_path: Path, folders: DataFolders, undeclared: DataSettings
) -> None:
    (tmp_path / "mirror" / NAMES["train_images"]).write_text("<html>Moved</html>")
    with pytest.raises(DataFormatError, match="starts with 3c68746d"):
        folders.download(undeclared)
    assert snapshot(folders.raw / "mnist") == {}


def test_a_table_may_be_corrected_before_it_is_recorded(tmp_path: Path, folders: DataFolders) -> None:
    rows = table_rows()
    rows[3][0] = "tall"
    settings = write_csv(tmp_path / "given", csv_text(rows))
    with pytest.raises(DataFormatError, match="line 5"):
        folders.download(settings)
    write_csv(tmp_path / "given")
    folders.download(settings)
    folders.prepare(settings)


@pytest.mark.parametrize(
    ("text", "message"), [("[]", "no checksums by role"), ('{"train": 5}', "no ch"), ("{", "not JS")]
)
def test_a_damaged_record_is_refused(text: str, message: str, tmp_path: Path, folders: DataFolders) -> None:
    settings = write_csv(tmp_path / "given")
    folders.download(settings)
    (folders.raw / "birds/lock.json").write_text(text)
    for act in (folders.download, folders.prepare):
        with pytest.raises(DataFormatError, match=f"lock.json: {message}"):
            act(settings)


def test_a_set_that_was_never_downloaded_is_not_prepared(tmp_path: Path, folders: DataFolders) -> None:
    with pytest.raises(DataError, match="source.json: no such file, so nothing was downloaded"):
        folders.prepare(write_csv(tmp_path / "given"))

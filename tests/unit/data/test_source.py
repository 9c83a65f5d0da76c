import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlpsweep.data.source import ROLES, DataFile, Source, files_of
from mlpsweep.errors import DataError, DataFormatError, SettingsError
from mlpsweep.settings import DataSettings
from tests.raw_files import NAMES, settings_of, small_files

CONF = Path(__file__).parents[3] / "conf/data"
FILE = DataFile("a.gz", hashlib.sha256(b"right").hexdigest(), 5)


@pytest.mark.parametrize("name", sorted(file.stem for file in CONF.glob("*.yaml")))
def test_every_set_of_conf_has_its_files(name: str) -> None:
    settings = DataSettings.build(yaml.safe_load((CONF / f"{name}.yaml").read_text()))
    files = files_of(settings)
    assert tuple(files) == (("train",) if name in ("wine", "breast_cancer") else ROLES)
    assert {file.sha256 is None for file in files.values()} == {name == "kmnist"}


def test_files_of_the_settings_are_taken_as_described() -> None:
    files = files_of(settings_of(small_files()))
    assert {role: file.name for role, file in files.items()} == NAMES
    assert files["test_labels"].n_bytes == 28


def test_a_test_file_may_be_missing_but_not_half_of_it() -> None:
    settings = settings_of(small_files())
    del settings.files["test_images"]
    with pytest.raises(SettingsError, match="data.files.test_images.name: None"):
        files_of(settings)
    del settings.files["test_labels"]
    assert tuple(files_of(settings)) == ROLES[:2]


def test_a_checksum_that_nobody_declared_is_that_of_the_record() -> None:
    settings = settings_of(small_files())
    settings.files["test_images"]["sha256"] = None
    assert files_of(settings)["test_images"].sha256 is None
    recorded = files_of(settings, dict.fromkeys(ROLES, "0" * 64))
    assert recorded["test_images"].sha256 == "0" * 64
    assert recorded["test_labels"].sha256 == settings.files["test_labels"]["sha256"]


def test_a_file_that_a_format_does_not_have_is_refused() -> None:
    settings = settings_of(small_files())
    settings.files["validation_images"] = {"name": "x"}
    with pytest.raises(SettingsError, match="data.files.validation_images: no such file in a set of this format"):
        files_of(settings)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("name", "../evil.gz", "a file name without folder"),
        ("name", "/etc/passwd", "a file name without folder"),
        ("name", ".hidden", "a file name without folder"),
        ("name", None, "a file name without folder"),
        ("sha256", "abc", "64 hexadecimal digits"),
        ("sha256", 7, "64 hexadecimal digits"),
        ("n_bytes", 0, "an integer >= 1"),
        ("n_bytes", "47040016", "an integer >= 1"),
    ],
)
def test_description_that_cannot_be_one_is_named(key: str, value: Any, expected: str) -> None:
    settings = settings_of(small_files())
    settings.files["test_images"][key] = value
    with pytest.raises(SettingsError, match=f"^data.files.test_images.{key}: .* does not fit; expected {expected}"):
        files_of(settings)


def test_all_faults_of_the_files_are_told_at_once() -> None:
    settings = settings_of(small_files())
    del settings.files["train_labels"]
    settings.files["test_images"]["n_bytes"] = -1
    with pytest.raises(SettingsError, match="data.files.train_labels.name: None") as caught:
        files_of(settings)
    assert len(caught.value.messages) == 2


@pytest.mark.parametrize(("contents", "is_valid"), [(b"right", True), (b"wrong", False), (None, False)])
def test_file_is_known_by_its_bytes(contents: bytes | None, is_valid: bool, tmp_path: Path) -> None:
    if contents is not None:
        (tmp_path / FILE.name).write_bytes(contents)
    assert FILE.is_valid(tmp_path) is is_valid


@pytest.mark.parametrize("source", [Source("mnist"), Source("digits"), Source("digits", "fashion_mnist")])
def test_source_is_read_back(source: Source, tmp_path: Path) -> None:
    source.write(tmp_path)
    assert Source.read(tmp_path) == source


def test_unchanged_source_is_not_written_again(tmp_path: Path) -> None:
    Source("mnist").write(tmp_path)
    before = (tmp_path / "source.json").stat()
    Source("mnist").write(tmp_path)
    assert (tmp_path / "source.json").stat().st_ino == before.st_ino


def test_damaged_source_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "source.json").write_text("{")
    Source("mnist").write(tmp_path)
    assert Source.read(tmp_path) == Source("mnist")


@pytest.mark.parametrize(
    "values",
    [
        {"dataset": "../x", "stands_in_for": None},
        {"dataset": None, "stands_in_for": None},
        {"dataset": "mnist", "stands_in_for": 5},
        {"dataset": "mnist"},
        {"dataset": "mnist", "stands_in_for": None, "extra": 1},
        ["mnist", None],
        "mnist",
        None,
    ],
)
def test_source_that_download_never_writes_is_refused(values: Any, tmp_path: Path) -> None:
    (tmp_path / "source.json").write_text(json.dumps(values))
    with pytest.raises(DataFormatError, match="source.json: .* names no data set"):
        Source.read(tmp_path)


def test_missing_source_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="source.json: no such file, so nothing was downloaded. Run `dvc repro downl"):
        Source.read(tmp_path)

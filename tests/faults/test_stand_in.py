"""When the digits stand in for a set that cannot be had, and when they do not."""

from pathlib import Path

import pytest

from mlpsweep.data.download import download, stand_in_message
from mlpsweep.data.source import Source, files_of
from mlpsweep.errors import DataError
from mlpsweep.settings import DataSettings
from tests.faults.download_lab import FILES, NOBODY, assert_complete, fetch
from tests.faults.faulty_http import FaultyServer
from tests.raw_files import flip, settings_of, snapshot

pytestmark = pytest.mark.usefixtures("no_mirror")


def test_stand_in_says_what_it_is_first_and_last(folder: Path) -> None:
    source = fetch(folder, NOBODY, f"{NOBODY}/two", fallback="digits", allow_fallback=True)
    assert source == Source.read(folder) == Source("digits", "mnist")
    assert stand_in_message(folder) == (
        "MNIST could not be downloaded (https://127.0.0.1:9: Connection refused; "
        "https://127.0.0.1:9/two: Connection refused). Going on with scikit-learn's digits, 1,797 images of 8x8, so "
        "that you can see the whole pipeline. These results say nothing about MNIST. For MNIST: connect, or set "
        "MNIST_MIRROR, then `dvc repro`. To stop here instead: data.fallback=null."
    )


@pytest.mark.parametrize(
    ("fallback", "allow_fallback"), [(None, True), ("digits", False)], ids=["data.fallback=null", "asked for by name"]
)
def test_without_leave_there_is_no_stand_in(fallback: str | None, allow_fallback: bool, folder: Path) -> None:
    with pytest.raises(DataError, match=f"{NOBODY}: Connection refused; {NOBODY}/two: Connection refused"):
        fetch(folder, NOBODY, f"{NOBODY}/two", fallback=fallback, allow_fallback=allow_fallback)
    assert snapshot(folder) == {}


def test_stand_in_gives_way_as_soon_as_a_mirror_is_there(good: FaultyServer, folder: Path) -> None:
    fetch(folder, NOBODY, fallback="digits", allow_fallback=True)
    assert fetch(folder, good.url, fallback="digits", allow_fallback=True) == Source("mnist")
    assert_complete(folder)
    assert stand_in_message(folder) is None
    assert {path.name for path in folder.parent.iterdir()} == {"mnist", ".mnist.lock"}


def test_stand_in_that_stays_keeps_its_bytes(folder: Path) -> None:
    fetch(folder, NOBODY, fallback="digits", allow_fallback=True)
    before = {path: path.stat().st_ino for path in folder.iterdir()}
    fetch(folder, f"{NOBODY}/elsewhere", fallback="digits", allow_fallback=True)
    assert {path: path.stat().st_ino for path in folder.iterdir()} == before
    assert "127.0.0.1:9/elsewhere: Connection refused)" in (stand_in_message(folder) or "")


def test_message_without_a_record_of_reasons_leaves_them_out(folder: Path) -> None:
    Source("digits", "fashion_mnist").write(folder)
    message = stand_in_message(folder) or ""
    assert message.startswith("Fashion-MNIST could not be downloaded. Going on with scikit-learn's digits")
    assert "set FASHION_MNIST_MIRROR, then" in message


def test_no_stand_in_after_a_file_came_and_the_mirror_went(good: FaultyServer, trusted: Path, folder: Path) -> None:
    settings = settings_of(FILES, mirrors=(good.url,), fallback="digits")

    def turn_off(name: str, n_read: int, n_promised: int) -> None:
        good.mode = "hang_up"

    with pytest.raises(DataError, match=r"still to fetch: train-labels-idx1-ubyte.gz \(missing\), t10k-images"):
        download(settings, folder, allow_fallback=True, progress=turn_off)


@pytest.mark.parametrize("name", [file.name for file in files_of(DataSettings.named("digits")).values()])
def test_damaged_digits_are_made_again(name: str, folder: Path, digits_settings: DataSettings) -> None:
    download(digits_settings, folder)
    before = snapshot(folder)
    flip(folder / name, 5)
    assert download(digits_settings, folder) == Source("digits")
    assert snapshot(folder) == before

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlpsweep.data.idx import encode_idx, open_idx
from mlpsweep.data.raw import RawFile
from mlpsweep.errors import DataError, DataFormatError
from tests.raw_files import idx, zipped

arrays = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=6))
IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
GOOD = idx(IMAGES)


def read(path: Path) -> npt.NDArray[Any]:
    return open_idx(RawFile(path)).whole()


def put(folder: Path, raw: bytes) -> Path:
    (folder / "here").write_bytes(raw)
    return folder / "here"


@given(array=arrays)
def test_written_array_is_read_back(array: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> None:
    back = read(put(tmp_path_factory.getbasetemp(), encode_idx(array)))
    assert back.dtype == np.uint8
    assert np.array_equal(back, array)
    assert back.shape == array.shape


@given(arrays)
def test_writer_writes_the_format(array: npt.NDArray[np.uint8]) -> None:
    assert encode_idx(array) == idx(array)


@given(array=arrays, data=st.data())
def test_every_truncated_file_is_refused(
    array: npt.NDArray[np.uint8], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = idx(array)
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(DataFormatError, match="here: .*expected"):
        read(put(tmp_path_factory.getbasetemp(), raw[:cut]))


@given(array=arrays, rest=st.binary(min_size=1, max_size=9))
def test_trailing_bytes_are_refused(
    array: npt.NDArray[np.uint8], rest: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(DataFormatError, match="the header promises shape"):
        read(put(tmp_path_factory.getbasetemp(), idx(array) + rest))


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, np.uint8), (9, np.int8), (11, np.int16), (12, np.int32)], ids=["u1", "i1", "i2", "i4"]
)
def test_integers_of_each_size_are_read(code: int, dtype: Any, tmp_path: Path) -> None:
    values = np.array([[1, 2, 3], [100, 101, 127]], dtype)
    raw = bytes([0, 0, code, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + values.astype(values.dtype.newbyteorder(">")).tobytes()
    assert read(put(tmp_path, raw)).tolist() == values.tolist()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param(b"", "starts with nothing", id="empty"),
        pytest.param(b"\x00\x00\x0d\x03" + GOOD[4:], "starts with 00000d03", id="type_is_float"),
        pytest.param(b"\x01" + GOOD[1:], "starts with 01000803", id="first_byte"),
        pytest.param(b"<html><body>", "starts with 3c68746d", id="html"),
        pytest.param(zipped(zipped(GOOD)), "starts with 1f8b08", id="gzipped twice"),
        pytest.param(b"\x00\x00\x08", "header ends after 3 bytes", id="no_dims_byte"),
        pytest.param(b"\x00\x00\x08\x00\x07", "header ends after 4 bytes; expected 4 for 0 dimensions", id="no_dims"),
        pytest.param(b"\x00\x00\x08\xff" + GOOD[4:], "for 255 dimensions", id="255_dims"),
        pytest.param(GOOD[:-1], "75 bytes; expected 76, because the header promises shape .3, 4, 5.", id="short"),
        pytest.param(GOOD + b"x", "more than 76 bytes; expected 76", id="long"),
        pytest.param(
            b"\x00\x00\x08\x03" + b"\xff" * 12, "expected one sample at least, and 1 .. 100,000,000", id="huge"
        ),
    ],
)
def test_malformed_bytes_are_named(raw: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match=f"here: .*{message}"):
        read(put(tmp_path, raw))


def test_rows_are_read_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlpsweep.data.raw.PIECE_BYTES", 45)
    pieces = list(open_idx(RawFile(put(tmp_path, GOOD))).pieces())
    assert [len(piece) for piece in pieces] == [2, 1]
    assert np.array_equal(np.concatenate(pieces), IMAGES)


@pytest.mark.parametrize("pack", [zipped, bytes], ids=["gzipped", "plain"])
def test_file_is_read_gzipped_or_plain(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(pack(GOOD))
    assert np.array_equal(read(tmp_path / "images"), IMAGES)


def _damaged_check_sum(raw: bytes) -> bytes:
    return raw[:-8] + bytes([raw[-8] ^ 1]) + raw[-7:]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param(zipped(GOOD)[:-9], "damaged data", id="cut"),
        pytest.param(zipped(GOOD)[:-4], "damaged data", id="cut_in_trailer"),
        pytest.param(_damaged_check_sum(zipped(GOOD)), "damaged data after .*CRC check failed", id="crc"),
        pytest.param(zipped(GOOD)[:12] + b"\xff" * 20, "damaged data", id="deflate_stream"),
        pytest.param(zipped(GOOD) + b"junk", "damaged data", id="garbage_after_the_end"),
        pytest.param(zipped(GOOD) + zipped(b"x"), "more than 76 bytes; expected 76", id="second_member"),
        pytest.param(zipped(GOOD[:-1]), "holds 75 bytes; expected 76", id="short"),
        pytest.param(b"\x1f\x8b", "damaged data", id="magic_only"),
    ],
)
def test_damaged_file_is_named(raw: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "images.gz").write_bytes(raw)
    with pytest.raises(DataFormatError, match=f"images.gz: .*{message}"):
        read(tmp_path / "images.gz")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_gzip_cut_anywhere_is_refused(share: float, tmp_path: Path) -> None:
    raw = zipped(idx(np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)))
    (tmp_path / "images.gz").write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(DataFormatError, match="images.gz"):
        read(tmp_path / "images.gz")


def test_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "bomb.gz", "wb") as stream:
        stream.write(idx(np.zeros((10, 28, 28), np.uint8)) + bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(DataFormatError, match="more than 7856 bytes"):
            read(tmp_path / "bomb.gz")
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8_000_000


def test_missing_file_is_no_format_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere.gz: no such file; expected the data") as caught:
        read(tmp_path / "nowhere.gz")
    assert not isinstance(caught.value, DataFormatError)

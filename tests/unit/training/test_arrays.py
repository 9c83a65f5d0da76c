"""Archives of arrays: the same bytes, and no byte believed."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlpsweep.errors import DataFormatError
from mlpsweep.training.arrays import pack_arrays, unpack_arrays
from tests.strategies import Array

ARRAYS: dict[str, Array] = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.zeros(0),
    "c": np.array(3, np.uint8),
}


def npz(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def npy(array: Array, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


@given(st.dictionaries(st.sampled_from("abcd"), hnp.arrays(np.float32, hnp.array_shapes(max_side=4, min_side=0))))
def test_arrays_come_back_as_they_were(arrays: dict[str, Array]) -> None:
    restored = unpack_arrays(pack_arrays(arrays), "here")
    assert list(restored) == list(arrays)
    for name, array in arrays.items():
        assert restored[name].shape == array.shape
        assert restored[name].tobytes() == array.tobytes()


def test_equal_arrays_give_equal_bytes_and_numpy_reads_them() -> None:
    data = pack_arrays(ARRAYS)
    assert data == pack_arrays({name: array.copy() for name, array in ARRAYS.items()})
    with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
        assert np.array_equal(loaded["a"], ARRAYS["a"])


@given(st.integers(0, len(pack_arrays(ARRAYS)) - 1))
def test_every_truncation_is_refused(length: int) -> None:
    with pytest.raises(DataFormatError, match="^here: not an archive of arrays"):
        unpack_arrays(pack_arrays(ARRAYS)[:length], "here")


@given(st.integers(0, len(pack_arrays(ARRAYS)) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_changes_nothing_but_bytes_of_no_meaning(position: int, bit: int) -> None:
    damaged = bytearray(pack_arrays(ARRAYS))
    damaged[position] ^= 1 << bit
    try:
        restored = unpack_arrays(bytes(damaged), "here")
    except DataFormatError:
        return
    for name, array in restored.items():  # the archive's own checksums guard what arrays hold
        assert array.tobytes() == ARRAYS.get(name, array).tobytes()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npz(a=b"not an array"), "magic string"),
        (npz(a=npy(np.array([None], object))), "says shape"),
        (npz(a=npy(np.zeros(2))[:-1]), r"says shape \(2,\) of float64, and has 15 bytes"),
        (npz(a=npy(np.zeros(2)) + b"x"), "has 17 bytes"),
        (npz(a=npy(np.asfortranarray(np.zeros((2, 3))))), "says shape"),
        (npz(a=npy(np.zeros(2), version=(2, 0))), "another format version"),
    ],
    ids=["no array", "objects", "too short", "too long", "Fortran order", "version"],
)
def test_what_is_not_ours_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(DataFormatError, match=reason):
        unpack_arrays(data, "here")


def test_compressed_archives_are_refused() -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, a=np.zeros(1000))
    with pytest.raises(DataFormatError, match=r"a\.npy is compressed"):
        unpack_arrays(stream.getvalue(), "here")

"""Small data sets of a user's own in each format: images of 12 x 20 pixels in five classes, 3 to 7, and a table."""

import csv
import gzip
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlpsweep.settings import DataSettings
from tests.raw_files import idx

Images = npt.NDArray[np.uint8]
SHAPE = (12, 20)
ROLES = ("train_images", "train_labels", "test_images", "test_labels")
HEADER = ("length", "colour", "weight", "species")


def described(name: str, **values: Any) -> DataSettings:
    """Settings of a set with little else to say."""
    return DataSettings(name=name, **{"n_epochs": 2, "n_validation": 5, **values})


def images(n_rows: int = 60, seed: int = 3, shape: tuple[int, int] = SHAPE) -> tuple[Images, npt.NDArray[Any]]:
    """Random images that grow brighter with their class, and their classes 3 to 7."""
    rng = np.random.default_rng(seed)
    labels = 3 + np.arange(n_rows) % 5
    return (rng.integers(0, 100, (n_rows, *shape)) + 30 * (labels[:, None, None] - 3)).astype(np.uint8), labels


def halves(n_train: int = 60, n_test: int = 20) -> dict[str, tuple[Images, npt.NDArray[Any]]]:
    return {"train": images(n_train), "test": images(n_test, 4)}


def write_idx(folder: Path, **more: Any) -> DataSettings:
    """Write four gzipped IDX files, and return their settings."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, (pixels, labels) in halves().items():
        for kind, array in (("images", pixels), ("labels", labels.astype(np.uint8))):
            (folder / f"{split}_{kind}.gz").write_bytes(gzip.compress(idx(array), mtime=0))
    files = {role: {"name": f"{role}.gz"} for role in ROLES}
    return described("own_idx", format="idx", path=str(folder), files=files, **more)


def npz_bytes(**arrays: npt.NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def write_npz(folder: Path, **more: Any) -> DataSettings:
    """Write Keras' four arrays, and return their settings."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{axis}_{split}": array for split, pair in halves().items() for axis, array in zip("xy", pair, strict=True)
    }
    (folder / "own.npz").write_bytes(npz_bytes(**arrays))
    return described("own_npz", format="npz", path=str(folder / "own.npz"), **more)


def write_pictures(folder: Path, n_rows: int = 60, **more: Any) -> DataSettings:
    """Write a PNG of each image into the folder of its class, and return the settings."""
    for number, (pixels, label) in enumerate(zip(*images(n_rows), strict=True)):
        place = folder / "pictures" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number:03}.png")
    return described("own_pictures", format="images", path=str(folder / "pictures"), **more)


def table_rows(n_rows: int = 40, seed: int = 5) -> list[list[Any]]:
    """Rows of two measurements, a colour and a species; one species is rare."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(n_rows):
        species = ("ibis", "owl", "emu")[0 if number % 8 == 0 else 1 + number % 2]
        size = {"ibis": 3.0, "owl": 1.0, "emu": 9.0}[species]
        rows.append([round(size + rng.normal() / 4, 3), ("grey", "white")[number % 3 == 0], int(100 * size), species])
    return rows


def csv_text(rows: list[list[Any]], header: tuple[str, ...] = HEADER, delimiter: str = ",", end: str = "\n") -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, lineterminator=end).writerows([header, *rows])
    return stream.getvalue()


def write_csv(folder: Path, text: str | bytes | None = None, **more: Any) -> DataSettings:
    """Write a table, and return its settings."""
    folder.mkdir(parents=True, exist_ok=True)
    text = csv_text(table_rows()) if text is None else text
    (folder / "birds.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return described("birds", **{"format": "csv", "path": str(folder / "birds.csv"), "label": "species", **more})


WRITERS = {"idx": write_idx, "npz": write_npz, "images": write_pictures, "csv": write_csv}


def write_emnist(path: Path, n_rows: int = 26) -> DataSettings:
    """Write letters as EMNIST has them: gzipped IDX in an archive, images column by column, labels from 1."""
    letters = np.arange(n_rows, dtype=np.uint8) % 26 + 1
    with zipfile.ZipFile(path, "w") as archive:
        for split in ("train", "test"):
            pixels = upright_letters(n_rows)
            for kind, array in (("images-idx3", np.swapaxes(pixels, 1, 2)), ("labels-idx1", letters)):
                packed = gzip.compress(idx(np.ascontiguousarray(array)), mtime=0)
                archive.writestr(f"gzip/emnist-letters-{split}-{kind}-ubyte.gz", packed)
    names = {"images": "images-idx3", "labels": "labels-idx1"}
    files = {
        f"{split}_{kind}": {"name": f"gzip/emnist-letters-{split}-{form}-ubyte.gz"}
        for split in ("train", "test")
        for kind, form in names.items()
    }
    return described("emnist_letters", format="idx", path=str(path), files=files, transpose=True, label_offset=1,
                     class_names=[chr(ord("a") + k) for k in range(26)])  # fmt: skip


def upright_letters(n_rows: int) -> Images:
    """Images with a bar at the left and a foot, as an L: turned, they would have the bar at the top."""
    pixels = np.zeros((n_rows, 28, 28), np.uint8)
    pixels[:, 4:24, 6:9] = 255
    pixels[:, 21:24, 6:14] = 200
    return pixels


def write_qmnist(folder: Path) -> DataSettings:
    """Write digits as QMNIST has them: labels are the first of eight columns of big-endian integers."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, n_rows in (("train", 40), ("test", 20)):
        pixels = np.random.default_rng(n_rows).integers(0, 256, (n_rows, 28, 28), np.uint8)
        table = np.zeros((n_rows, 8), ">i4")
        table[:, 0], table[:, 2] = np.arange(n_rows) % 10, 3000 + np.arange(n_rows)
        raw = bytes([0, 0, 12, 2]) + struct.pack(">2I", n_rows, 8) + table.tobytes()
        (folder / f"qmnist-{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels), mtime=0))
        (folder / f"qmnist-{split}-labels-idx2-int.gz").write_bytes(gzip.compress(raw, mtime=0))
    files = {
        f"{split}_{kind}": {"name": f"qmnist-{split}-{form}.gz"}
        for split in ("train", "test")
        for kind, form in (("images", "images-idx3-ubyte"), ("labels", "labels-idx2-int"))
    }
    return described("qmnist", format="idx", path=str(folder), files=files)

"""Small data sets of a user's own in each format: images of 12 x 20 pixels in five classes, 3 to 7, and a table."""

import csv
import gzip
import io
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

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


def hard(
    shape: tuple[int, ...], n_rows: int, shares: Sequence[float], seed: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return rows of five classes, 3 to 7, that overlap, in shares, and their classes; the same for each seed."""
    centres = np.random.default_rng(0).normal(0, 1, (5, *shape))
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(5), [round(n_rows * share) for share in shares])
    rng.shuffle(labels)
    spread = 0.35 * np.sqrt(centres[0].size)
    return centres[labels] + rng.normal(0, spread, (len(labels), *shape)), labels + 3


EQUAL, UNEQUAL = (0.2,) * 5, (0.5, 0.25, 0.15, 0.06, 0.04)
N_HARD: Final = {"train": 1000, "test": 500}


def hard_pixels(shape: tuple[int, int], shares: Sequence[float]) -> dict[str, tuple[Images, npt.NDArray[Any]]]:
    """Return both halves of overlapping images."""
    both = {split: hard(shape, n_rows, shares, seed) for seed, (split, n_rows) in enumerate(N_HARD.items(), 1)}
    return {split: (np.clip(rows * 8 + 128, 0, 255).astype(np.uint8), labels) for split, (rows, labels) in both.items()}


def hard_csv(folder: Path) -> dict[str, Any]:
    """Write train.csv and test.csv: eight measurements on scales of their own, a colour, unequal classes."""
    folder.mkdir(parents=True)
    scales, shifts = 10.0 ** np.arange(-3, 5), np.arange(8) * 1e3
    for seed, (split, n_rows) in enumerate(N_HARD.items(), 1):
        rows, labels = hard((8,), n_rows, UNEQUAL, seed)
        colours = np.where(np.random.default_rng(seed).random(len(rows)) < 0.1 * labels, "red", "blue")
        with (folder / f"{split}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow([*(f"m{i}" for i in range(8)), "colour", "kind"])
            for row, colour, label in zip(rows * scales + shifts, colours, labels, strict=True):
                writer.writerow([*map(repr, map(float, row)), colour, label])
    files = {split: {"name": f"{split}.csv"} for split in N_HARD}
    return {"name": "hard_csv", "format": "csv", "label": "kind", "files": files}


def hard_pictures(folder: Path) -> dict[str, Any]:
    """Write a PNG of 12 x 20 pixels for each image, into train/<class> and test/<class>."""
    for split, (images, labels) in hard_pixels(SHAPE, EQUAL).items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            place = folder / split / str(label)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{number:04}.png")
    return {"name": "hard_pictures", "format": "images"}


def hard_npz(folder: Path) -> dict[str, Any]:
    """Write Keras' four arrays of images of 28 x 28."""
    folder.mkdir(parents=True)
    halves_ = hard_pixels((28, 28), EQUAL)
    arrays = {
        f"{axis}_{split}": array for split, pair in halves_.items() for axis, array in zip("xy", pair, strict=True)
    }
    (folder / "hard.npz").write_bytes(npz_bytes(**arrays))
    return {"name": "hard_npz", "format": "npz", "files": {"archive": {"name": "hard.npz"}}}


def hard_idx(folder: Path) -> dict[str, Any]:
    """Write four IDX files of images of 28 x 28, of unequal classes."""
    folder.mkdir(parents=True)
    for split, (images, labels) in hard_pixels((28, 28), UNEQUAL).items():
        (folder / f"{split}_images").write_bytes(idx(images))
        (folder / f"{split}_labels").write_bytes(idx(labels.astype(np.uint8)))
    return {"name": "hard_idx", "format": "idx", "files": {role: {"name": role} for role in ROLES}}

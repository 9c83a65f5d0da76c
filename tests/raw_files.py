"""A small MNIST of random pixels as the files a mirror has, and the settings that describe them."""

import gzip
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpsweep.settings import DataSettings

NAMES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}
ROLES = tuple(NAMES)


def idx(array: npt.NDArray[np.uint8]) -> bytes:
    """IDX bytes, written apart from the product's own writer."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape) + array.tobytes()


def zipped(contents: bytes) -> bytes:
    return gzip.compress(contents, mtime=0)


def small_arrays(n_train: int = 60, n_test: int = 20) -> dict[str, npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(5)
    sizes = {"train": n_train, "test": n_test}
    images = {f"{split}_images": rng.integers(0, 256, (n, 28, 28), np.uint8) for split, n in sizes.items()}
    labels = {f"{split}_labels": np.arange(n, dtype=np.uint8)[::-1] % 10 for split, n in sizes.items()}
    return images | labels


def small_contents() -> dict[str, bytes]:
    return {role: idx(array) for role, array in small_arrays().items()}


def small_files() -> dict[str, bytes]:
    """Each role's gzipped file."""
    return {role: zipped(raw) for role, raw in small_contents().items()}


def settings_of(files: dict[str, bytes], **changes: Any) -> DataSettings:
    """Settings of a set called mnist that has these files; no mirrors and no stand-in, unless said."""
    n_bytes = {role: len(raw) for role, raw in small_contents().items()}
    described = {
        role: {"name": NAMES[role], "sha256": hashlib.sha256(files[role]).hexdigest(), "n_bytes": n_bytes[role]}
        for role in ROLES
    }
    defaults: dict[str, Any] = {
        "name": "mnist", "mirrors": (), "files": described, "fallback": None, "scaling": "standardize",
        "n_epochs": 15, "n_train": None, "n_validation": 10, "n_test": None,
    }  # fmt: skip
    return DataSettings(**(defaults | changes))


def fill(folder: Path, files: dict[str, bytes], *, with_source: bool = True) -> Path:
    """Write files as a mirror has them; with ``with_source``, as ``download`` leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    for role, raw in files.items():
        (folder / NAMES[role]).write_bytes(raw)
    if with_source:
        text = json.dumps({"dataset": "mnist", "stands_in_for": None}, indent=2)
        (folder / "source.json").write_text(f"{text}\n")
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def flip(path: Path, offset: int, mask: int = 0x01) -> None:
    """Change one byte of a file."""
    raw = bytearray(path.read_bytes())
    raw[offset] ^= mask
    path.write_bytes(raw)

"""The prepare stage: from raw files to memory-mappable arrays, one split index and a manifest."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep.data.columns import Columns
from mlpsweep.data.formats import read_parts
from mlpsweep.data.halves import Halves
from mlpsweep.data.lock import checked
from mlpsweep.data.manifest import ARRAYS, SPLIT_NAME, Manifest, array_name
from mlpsweep.data.part import Part
from mlpsweep.data.source import Source
from mlpsweep.data.specs import declared
from mlpsweep.data.split import stratified_order
from mlpsweep.datasets import DataSettings
from mlpsweep.errors import DataError, DataFormatError
from mlpsweep.files import FOLDER_WANTED, locked, open_atomic, sha256_file, storage_errors

N_VALUES: Final = 256  # values of a byte


def prepare(settings: DataSettings, raw: Path, prepared: Path) -> Manifest:
    """Turn the raw files into arrays of all their rows, in file order; the manifest is written last.

    The bytes written are a function of the raw bytes and of what the settings declare. Rows are read, changed and
    written some at a time, so memory does not grow with the files.

    Parameters
    ----------
    settings : DataSettings
        Settings of the wanted data set.
    raw : Path
        Folder that ``download`` filled.
    prepared : Path
        Folder for ``{train,test}_{images,labels}.npy``, ``split.npy`` and ``manifest.json``; created if missing.

    Returns
    -------
    Manifest
        Description of what ``prepared`` now holds.

    Raises
    ------
    DataError
        If a raw file is missing, or ``raw`` holds another set, or a stand-in where ``settings.fallback`` is null.
    ChecksumError
        If a raw file is damaged, or has changed since its checksum was recorded.
    DataFormatError
        If the contents of a raw file are not what the settings declare.
    ShapeError
        If the rows and labels of a file differ in number.
    StorageError
        If ``prepared`` cannot be written.
    """
    source = _read_source(settings, raw)
    own = declared(settings) if source.dataset == settings.name else DataSettings.named(source.dataset)
    files = checked(own, raw)
    halves = Halves.of(read_parts({role: file for role, (file, _) in files.items()}, own), own)
    with (
        storage_errors(prepared, FOLDER_WANTED),
        locked(prepared.parent / f".{prepared.name}.lock"),
        _all_or_nothing(prepared),
    ):
        figures, names = _write(halves, prepared), halves.classes.names
        labels = {split: np.bincount(half.labels, minlength=len(names)) for split, half in halves.files.items()}
        manifest = Manifest(
            dataset=source.dataset,
            stands_in_for=source.stands_in_for,
            sources={role: described for role, (_, described) in files.items()},
            arrays={name: sha256_file(prepared / name) for name in ARRAYS},
            counts={split: int(counts.sum()) for split, counts in labels.items()},
            class_counts={split: counts.tolist() for split, counts in labels.items()},
            class_names=names,
            declared=own.declared,
            own_title=own.title or "",
            **figures,
        )
        manifest.write(prepared)
    return manifest


def _read_source(settings: DataSettings, raw: Path) -> Source:
    source = Source.read(raw)
    accepted = [Source(settings.name)] + ([Source(settings.fallback, settings.name)] if settings.fallback else [])
    if source not in accepted:
        held = source.dataset + (f", standing in for {source.stands_in_for}" if source.stands_in_for else "")
        raise DataError(
            f"{raw}: holds {held}; expected {settings.name} (data.fallback={settings.fallback or 'null'}). "
            f"Connect, or set {settings.name.upper()}_MIRROR, then `dvc repro`."
        )
    return source


@contextlib.contextmanager
def _all_or_nothing(folder: Path) -> Iterator[None]:
    """Remove a folder that was made inside the block, if that ends with an exception before anything lies in it."""
    was_there = folder.exists()
    try:
        yield
    except BaseException:
        if not was_there:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _write(halves: Halves, folder: Path) -> dict[str, Any]:
    """Write all arrays, or none, and return the manifest's figures of their rows."""
    files, columns = halves.files, halves.columns
    counts = {split: np.zeros(N_VALUES, np.int64) for split in files}
    with contextlib.ExitStack() as stack:

        def save(name: str, shape: tuple[int, ...], dtype: npt.DTypeLike, pieces: Iterator[npt.NDArray[Any]]) -> None:
            stream = stack.enter_context(open_atomic(folder / name))
            header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for piece in pieces:
                stream.write(np.ascontiguousarray(piece, dtype).tobytes())

        for split, half in files.items():
            rows = half.rows()
            shown = _counted(rows, counts[split]) if columns is None else map(columns.standardized, rows)
            shape = (len(half.labels), math.prod(half.part.row_shape))
            save(array_name(f"{split}_images"), shape, np.uint8 if columns is None else np.float32, shown)
            save(array_name(f"{split}_labels"), half.labels.shape, half.labels.dtype, iter([half.labels]))
        order = stratified_order(files["train"].labels)
        save(SPLIT_NAME, order.shape, order.dtype, iter([order]))
        return _of_pixels(counts, files["train"].part) if columns is None else _of_columns(columns)


def _counted(pieces: Iterator[npt.NDArray[Any]], counts: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[Any]]:
    """Yield images, and count how often each byte value occurs in them."""
    for piece in pieces:
        counts += np.bincount(piece.ravel(), minlength=N_VALUES)
        yield piece


def _of_pixels(counts: Mapping[str, npt.NDArray[np.int64]], train: Part) -> dict[str, Any]:
    """Return the figures of images, computed from integer sums, so that they are the same on every machine."""
    found = [(value, int(count)) for value, count in enumerate(counts["train"]) if count]
    if len(found) == 1:
        raise DataFormatError(
            f"{train.source}: every pixel of the train file is {found[0][0]}; expected pictures. Replace it"
        )
    n_pixels = sum(count for _, count in found)
    total = sum(value * count for value, count in found)
    total_of_squares = sum(value * value * count for value, count in found)
    return {
        "distinct_pixel_values": {split: int((values > 0).sum()) for split, values in counts.items()},
        "image_shape": train.row_shape,
        "max_value": found[-1][0],
        "pixel_mean": total / n_pixels,
        "pixel_std": math.sqrt(n_pixels * total_of_squares - total * total) / n_pixels,
    }


def _of_columns(columns: Columns) -> dict[str, Any]:
    """Return the figures of a table, whose rows are stored as a network sees them."""
    return {
        "distinct_pixel_values": {},
        "image_shape": (1, len(columns.features)),
        "max_value": 1,
        "pixel_mean": 0.0,
        "pixel_std": 1.0,
        "columns": columns.described(),
    }

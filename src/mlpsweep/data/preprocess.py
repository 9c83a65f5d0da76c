"""The prepare stage: from raw files to memory-mappable arrays, one split index and a manifest."""

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpsweep.data.idx import HINT, read_idx
from mlpsweep.data.manifest import SPLIT_NAME, Manifest, array_name
from mlpsweep.data.source import DIGITS_FILES, Source, files_of
from mlpsweep.data.specs import SPECS, DatasetSpec
from mlpsweep.data.split import stratified_order
from mlpsweep.errors import DataError, DataFormatError, ShapeError
from mlpsweep.files import FOLDER_WANTED, locked, open_atomic, sha256_file, storage_errors
from mlpsweep.settings import DataSettings
from mlpsweep.types import ImageArray

SPLITS: Final = ("train", "test")  # the splits with files of their own
N_VALUES: Final = 256  # values of a byte
CHUNK_ROWS: Final = 4096


def prepare(settings: DataSettings, raw: Path, prepared: Path) -> Manifest:
    """Turn the raw files into arrays of all their rows, in file order; the manifest is written last.

    The bytes written are a function of the raw bytes alone.

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
        If a raw file is damaged.
    DataFormatError
        If the contents of a raw file are not this data set's.
    ShapeError
        If the images and labels of a file differ in number.
    StorageError
        If ``prepared`` cannot be written.
    """
    source = _read_source(settings, raw)
    files = DIGITS_FILES if source.dataset == "digits" else files_of(settings)
    spec = SPECS[source.dataset]
    arrays: dict[str, npt.NDArray[Any]] = {}
    for role, file in files.items():
        path = file.check(raw)
        arrays[role] = _checked(role, read_idx(path, file.n_bytes), spec, f"{path}")
    _check_pairs(arrays, raw)
    contents = {array_name(role): array for role, array in arrays.items()}
    contents[SPLIT_NAME] = stratified_order(arrays["train_labels"])
    with storage_errors(prepared, FOLDER_WANTED), locked(prepared.parent / f".{prepared.name}.lock"):
        digests = {name: _save(prepared / name, array) for name, array in contents.items()}
        manifest = Manifest(
            dataset=source.dataset,
            stands_in_for=source.stands_in_for,
            sources={role: file.described for role, file in files.items()},
            arrays=digests,
            image_shape=spec.image_shape,
            max_value=spec.max_value,
            class_names=spec.class_names,
            **_describe(arrays, len(spec.class_names)),
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


def _checked(role: str, array: npt.NDArray[np.uint8], spec: DatasetSpec, path: str) -> npt.NDArray[np.uint8]:
    """Return images as rows of pixels, labels unchanged, after checking shape and range."""
    is_image = role.endswith("images")
    shape = spec.image_shape if is_image else ()
    if array.shape[1:] != shape or len(array) == 0:
        expected = " x ".join(("n_samples", *map(str, shape)))
        raise DataFormatError(f"{path}: shape {array.shape}; expected {expected}, one sample at least. {HINT}")
    highest, limit = int(array.max()), spec.max_value if is_image else len(spec.class_names) - 1
    if highest > limit:
        name, hint = ("pixel", HINT) if is_image else ("label", _numbering(array, spec))
        raise DataFormatError(f"{path}: a {name} is {highest}; expected 0 .. {limit}. {hint}")
    return array.reshape(len(array), -1) if is_image else array


def _numbering(labels: npt.NDArray[np.uint8], spec: DatasetSpec) -> str:
    """Return how labels above the last class name are put right."""
    lowest, highest, n_names = int(labels.min()), int(labels.max()), len(spec.class_names)
    way = f"subtract {lowest} from each" if highest - lowest < n_names else "one for each class name"
    return (
        f"The labels are {lowest} .. {highest} and {spec.title} has {n_names} class names: write the labels anew, "
        f"numbered from 0 ({way})."
    )


def _check_pairs(arrays: dict[str, npt.NDArray[Any]], raw: Path) -> None:
    for split in SPLITS:
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if len(images) != len(labels):
            raise ShapeError(
                f"{raw}: {split}_images has shape {images.shape} and {split}_labels {labels.shape}; "
                f"expected one label for each image. {HINT}"
            )
    darkest, brightest = arrays["train_images"].min(), arrays["train_images"].max()
    if darkest == brightest:
        raise DataFormatError(f"{raw}: every pixel of the train file is {darkest}; expected pictures. {HINT}")


def _save(path: Path, array: npt.NDArray[Any]) -> str:
    """Write an array file and return its SHA-256."""
    with open_atomic(path) as stream:
        np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return sha256_file(path)


def _describe(arrays: dict[str, npt.NDArray[Any]], n_classes: int) -> dict[str, Any]:
    """Return the manifest's figures, computed from integer sums, so that they are the same on every machine."""
    pixels = {split: _count_values(arrays[f"{split}_images"]) for split in SPLITS}
    labels = {split: np.bincount(arrays[f"{split}_labels"], minlength=n_classes) for split in pixels}
    n_pixels = sum(pixels["train"])
    total = sum(value * count for value, count in enumerate(pixels["train"]))
    total_of_squares = sum(value * value * count for value, count in enumerate(pixels["train"]))
    return {
        "counts": {split: int(counts.sum()) for split, counts in labels.items()},
        "class_counts": {split: counts.tolist() for split, counts in labels.items()},
        "distinct_pixel_values": {split: sum(count > 0 for count in counts) for split, counts in pixels.items()},
        "pixel_mean": total / n_pixels,
        "pixel_std": math.sqrt(n_pixels * total_of_squares - total * total) / n_pixels,
    }


def _count_values(images: ImageArray) -> list[int]:
    """Return how often each byte value occurs; in chunks, because bincount copies its input into 8-byte integers."""
    counts = np.zeros(N_VALUES, np.int64)
    for start in range(0, len(images), CHUNK_ROWS):
        counts += np.bincount(images[start : start + CHUNK_ROWS].ravel(), minlength=N_VALUES)
    return [int(count) for count in counts]

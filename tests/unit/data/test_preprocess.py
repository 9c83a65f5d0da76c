import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from mlpsweep.data import embedded
from mlpsweep.data.download import download
from mlpsweep.data.embedded import write_embedded
from mlpsweep.data.manifest import Manifest
from mlpsweep.data.preprocess import prepare
from mlpsweep.data.source import Source
from mlpsweep.data.specs import expected_size
from mlpsweep.errors import ChecksumError, DataError, DataFormatError, ShapeError, StorageError
from mlpsweep.settings import DataSettings
from tests.raw_files import (
    NAMES,
    ROLES,
    fill,
    flip,
    idx,
    settings_of,
    small_arrays,
    small_contents,
    small_files,
    snapshot,
    zipped,
)  # fmt: skip

CONF = Path(__file__).parents[3] / "conf/data"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return fill(tmp_path / "raw/mnist", small_files())


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    return tmp_path / "prepared/mnist"


@pytest.mark.parametrize("role", ROLES)
def test_arrays_hold_all_rows_in_file_order(role: str, raw: Path, prepared: Path) -> None:
    prepare(settings_of(small_files()), raw, prepared)
    array = np.load(prepared / f"{role}.npy")
    assert array.dtype == np.uint8
    assert np.array_equal(array, small_arrays()[role].reshape(len(array), -1).squeeze())
    assert array.ndim == (2 if role.endswith("images") else 1)


def test_manifest_says_what_the_arrays_hold(raw: Path, prepared: Path) -> None:
    manifest = prepare(settings_of(small_files()), raw, prepared)
    arrays = small_arrays()
    assert (manifest.dataset, manifest.stands_in_for, manifest.title) == ("mnist", None, "MNIST")
    assert manifest.counts == {"train": 60, "test": 20}
    assert manifest.class_counts == {"train": [6] * 10, "test": [2] * 10}
    assert manifest.distinct_pixel_values == {"train": 256, "test": len(np.unique(arrays["test_images"]))}
    assert (manifest.image_shape, manifest.n_features, manifest.max_value) == ((28, 28), 784, 255)
    assert (manifest.n_classes, manifest.class_names[3]) == (10, "3")
    assert manifest.pixel_mean == pytest.approx(arrays["train_images"].mean(dtype=np.float64), rel=1e-14)
    assert manifest.pixel_std == pytest.approx(arrays["train_images"].std(dtype=np.float64), rel=1e-14)


def test_manifest_names_sources_and_digests(raw: Path, prepared: Path) -> None:
    manifest = prepare(settings_of(small_files()), raw, prepared)
    assert {role: source["name"] for role, source in manifest.sources.items()} == NAMES
    assert manifest.sources["test_labels"]["sha256"] == hashlib.sha256(small_files()["test_labels"]).hexdigest()
    files = [path for path in prepared.iterdir() if path.suffix == ".npy"]
    assert manifest.arrays == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert len(files) == 5


def test_manifest_is_read_back(raw: Path, prepared: Path) -> None:
    manifest = prepare(settings_of(small_files()), raw, prepared)
    assert Manifest.read(prepared) == manifest
    assert Manifest.read(prepared).digest == manifest.digest


def test_same_raw_files_give_the_same_bytes(raw: Path, prepared: Path, tmp_path: Path) -> None:
    prepare(settings_of(small_files()), raw, prepared)
    os.utime(raw / NAMES["train_images"], (1, 1))
    prepare(settings_of(small_files(), mirrors=("https://a.example/",), n_validation=3), raw, tmp_path / "again")
    assert snapshot(prepared) == snapshot(tmp_path / "again")
    assert len(snapshot(prepared)) == 6


def test_other_pixels_give_another_digest(raw: Path, prepared: Path) -> None:
    digest = prepare(settings_of(small_files()), raw, prepared).digest
    arrays = small_arrays()
    arrays["test_images"][3, 4, 5] ^= 1
    files = {role: zipped(idx(array)) for role, array in arrays.items()}
    assert prepare(settings_of(files), fill(raw, files), prepared).digest != digest


def test_digits_are_a_fifth_test_rows_balanced(prepared_digits: Path) -> None:
    manifest = Manifest.read(prepared_digits)
    assert manifest.counts == {"train": 1437, "test": 360}
    assert max(manifest.class_counts["test"]) - min(manifest.class_counts["test"]) <= 2
    assert (manifest.image_shape, manifest.max_value) == ((8, 8), 16)


def test_digits_are_scikit_learns(prepared_digits: Path) -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    rows = {tuple(map(int, image)): int(label) for image, label in zip(bunch.data, bunch.target, strict=True)}
    images = np.vstack([np.load(prepared_digits / f"{split}_images.npy") for split in ("train", "test")])
    labels = np.concatenate([np.load(prepared_digits / f"{split}_labels.npy") for split in ("train", "test")])
    assert rows == {tuple(map(int, image)): int(label) for image, label in zip(images, labels, strict=True)}


@pytest.mark.parametrize("name", ["digits", "wine"])
def test_a_set_of_another_scikit_learn_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = embedded.ENCODERS[name]
    others = {name: lambda one: {role: contents + b"x" for role, contents in usual(one).items()}}
    monkeypatch.setattr(embedded, "ENCODERS", others)
    with pytest.raises(ChecksumError, match=r"this scikit-learn embeds other data.*Install .* constraints.txt"):
        write_embedded(DataSettings.named(name), tmp_path)
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion_mnist", "kmnist"])
def test_the_size_of_a_set_in_idx_files_is_known_before_they_are_there(name: str) -> None:
    expected = (1437, 64) if name == "digits" else (60_000, 784)
    size = expected_size(DataSettings.named(name))
    assert size is not None
    assert size[:2] == expected


def test_the_size_of_a_prepared_set_is_that_of_its_manifest(tmp_path: Path) -> None:
    wine = DataSettings.named("wine")
    assert expected_size(wine, tmp_path / "prepared") is None
    download(wine, tmp_path / "raw")
    prepare(wine, tmp_path / "raw", tmp_path / "prepared/wine")
    assert expected_size(wine, tmp_path / "prepared") == (142, 13, 3)
    (tmp_path / "prepared/wine/manifest.json").write_text("{")
    assert expected_size(wine, tmp_path / "prepared") is None


def test_digits_have_the_same_digest_on_every_machine(prepared_digits: Path) -> None:
    assert Manifest.read(prepared_digits).arrays["split.npy"][:16] == "7228a449a33fa913"
    assert Manifest.read(prepared_digits).digest[:16] == "6816c817a5fde3a2"


@pytest.mark.parametrize("role", ROLES)
def test_one_flipped_byte_is_refused(role: str, raw: Path, prepared: Path) -> None:
    flip(raw / NAMES[role], 30)
    with pytest.raises(ChecksumError, match=f"{NAMES[role]}: .*SHA-256 is [0-9a-f]{{64}}; expected [0-9a-f]{{64}}"):
        prepare(settings_of(small_files()), raw, prepared)
    assert not prepared.exists()


@pytest.mark.parametrize("role", ROLES)
def test_missing_file_is_named(role: str, raw: Path, prepared: Path) -> None:
    (raw / NAMES[role]).unlink()
    with pytest.raises(DataError, match=f"{NAMES[role]}: no such file. `dvc repro -f download`"):
        prepare(settings_of(small_files()), raw, prepared)


def test_empty_raw_folder_is_named(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(DataError, match="source.json: no such file, so nothing was downloaded. Run `dvc repro"):
        prepare(settings_of(small_files()), tmp_path, prepared)


def _reshaped(role: str, *shape: int) -> bytes:
    return idx(small_arrays()[role].reshape(shape))


MALFORMED: dict[str, tuple[str, bytes, str]] = {
    "magic": ("train_images", zipped(b"\x00\x00\x0d" + small_contents()["train_images"][3:]), "starts with 00000d03"),
    "trailing_bytes": ("test_images", zipped(small_contents()["test_images"] + b"x"), "holds more than"),
    "missing_bytes": ("test_labels", zipped(small_contents()["test_labels"][:-1]), "holds 27 bytes; expected 28"),
    "other_shape": ("test_images", zipped(_reshaped("test_images", 20, 14, 56)), r"rows of shape \(14, 56\); expected"),
    "flat_images": ("train_images", zipped(idx(np.zeros(47040 + 8, np.uint8))), r"shape \(47048,\)"),
    "labels_of_two_dimensions": ("train_labels", zipped(idx(np.zeros((1, 56), np.uint8))), r"shape \(1, 56\)"),
    "gzip_bomb": ("test_labels", gzip.compress(small_contents()["test_labels"] + bytes(10**7)), "more than 28 bytes"),
    "zeros": ("test_labels", gzip.compress(bytes(10_000_000)), "starts with 00000000"),
    "cut_gzip": ("train_labels", small_files()["train_labels"][:-9], "damaged data"),
    "html": ("train_images", b"<html>Moved</html>", "starts with 3c68746d"),
    "zipped_twice": ("train_labels", zipped(small_files()["train_labels"]), "starts with 1f8b"),
    "header_promises_other_rows": (
        "test_labels",
        zipped(small_contents()["test_labels"][:7] + b"\x15" + small_contents()["test_labels"][8:]),
        r"promises shape \(21,\)",
    ),
}


@pytest.mark.parametrize(("role", "contents", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_contents_are_refused_though_their_checksum_fits(
    role: str, contents: bytes, message: str, raw: Path, prepared: Path
) -> None:
    files = small_files() | {role: contents}
    with pytest.raises(DataFormatError, match=f"{NAMES[role]}: .*{message}"):
        prepare(settings_of(files), fill(raw, files), prepared)
    assert not prepared.exists()


def test_images_without_labels_are_refused(raw: Path, prepared: Path) -> None:
    files = small_files() | {"train_labels": zipped(idx(np.zeros(59, np.uint8)))}
    with pytest.raises(
        ShapeError, match=r"train-images.* has shape \(60, 28, 28\) and .*train-labels.* \(59,\); expec"
    ):
        prepare(settings_of(files), fill(raw, files), prepared)


def test_no_rows_are_refused(raw: Path, prepared: Path) -> None:
    files = small_files() | {"test_labels": zipped(idx(np.zeros(0, np.uint8)))}
    with pytest.raises(DataFormatError, match=r"shape \(0,\); expected one sample at least"):
        prepare(settings_of(files), fill(raw, files), prepared)


def test_images_of_one_gray_are_refused(raw: Path, prepared: Path) -> None:
    files = small_files() | {"train_images": zipped(idx(np.full((60, 28, 28), 7, np.uint8)))}
    with pytest.raises(DataFormatError, match="every pixel of the train file is 7"):
        prepare(settings_of(files), fill(raw, files), prepared)


def test_stand_in_is_prepared_as_the_digits(tmp_path: Path, prepared_digits: Path) -> None:
    write_embedded(DataSettings.named("digits"), tmp_path / "raw")
    Source("digits", "mnist").write(tmp_path / "raw")
    manifest = prepare(settings_of(small_files(), fallback="digits"), tmp_path / "raw", tmp_path / "prepared")
    own = Manifest.read(prepared_digits)
    assert (manifest.dataset, manifest.stands_in_for) == ("digits", "mnist")
    assert manifest.title == "digits (stands in for MNIST)"
    assert manifest.arrays == own.arrays
    assert manifest.digest != own.digest


@pytest.mark.parametrize(
    ("source", "held"),
    [
        (Source("digits", "mnist"), "digits, standing in for mnist"),
        (Source("digits"), "digits"),
        (Source("digits", "fashion_mnist"), "digits, standing in for fashion_mnist"),
        (Source("fashion_mnist"), "fashion_mnist"),
    ],
)
def test_other_set_is_refused_where_no_fallback_is_allowed(
    source: Source, held: str, raw: Path, prepared: Path
) -> None:
    source.write(raw)
    with pytest.raises(DataError, match=rf"holds {held}; expected mnist \(data.fallback=null\). Connect, or set MN"):
        prepare(settings_of(small_files(), fallback=None), raw, prepared)


def test_folder_that_cannot_be_written_is_a_storage_error(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "prepared").write_text("a file")
    with pytest.raises(StorageError, match="prepared.*: .*; expected a folder that can be written"):
        prepare(settings_of(small_files()), raw, tmp_path / "prepared/mnist")


def _conf(name: str) -> DataSettings:
    return DataSettings.build(yaml.safe_load((CONF / f"{name}.yaml").read_text()))


@pytest.mark.mnist
@pytest.mark.slow
@pytest.mark.skipif("MNIST_MIRROR" not in os.environ, reason="MNIST_MIRROR is not set")
def test_real_mnist_is_what_its_authors_describe(tmp_path: Path) -> None:
    settings = _conf("mnist")
    download(settings, tmp_path / "raw")
    manifest = prepare(settings, tmp_path / "raw", tmp_path / "prepared")
    assert manifest.counts == {"train": 60000, "test": 10000}
    assert manifest.class_counts["test"] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert round(manifest.pixel_mean / 255, 4) == 0.1307  # as every tutorial has it
    assert round(manifest.pixel_std / 255, 4) == 0.3081
    assert manifest.arrays["train_images.npy"][:16] == "e9e62d18e658a2ec"
    assert manifest.arrays["split.npy"][:16] == "bf3253bef0985998"


def test_labels_that_do_not_start_at_0_are_numbered_from_0(tmp_path: Path) -> None:
    arrays = small_arrays()
    for role in ("train_labels", "test_labels"):
        arrays[role] = (arrays[role] % 5 + 3).astype(np.uint8)
    files = {role: zipped(idx(array)) for role, array in arrays.items()}
    raw = fill(tmp_path / "raw", files)
    manifest = prepare(settings_of(files), raw, tmp_path / "prepared")
    assert manifest.class_names == tuple("34567")
    assert np.array_equal(np.load(tmp_path / "prepared/test_labels.npy"), arrays["test_labels"] - 3)
    with pytest.raises(DataFormatError, match=r"5 different labels \(3, 4, 5, 6, 7\), and there are 4 class_names"):
        prepare(settings_of(files, class_names=tuple("abcd")), raw, tmp_path / "prepared")
    with pytest.raises(DataFormatError, match=r"5 different labels .*; expected 0 \.\. 4, each in one row at least"):
        prepare(settings_of(files, label_offset=0), raw, tmp_path / "prepared")


def test_images_in_columns_are_turned(raw: Path, prepared: Path) -> None:
    arrays = small_arrays()
    turned = {r: np.ascontiguousarray(a.swapaxes(1, 2)) if a.ndim == 3 else a for r, a in arrays.items()}
    files = {role: zipped(idx(array)) for role, array in turned.items()}
    usual = prepare(settings_of(small_files()), raw, prepared)
    manifest = prepare(settings_of(files, transpose=True), fill(raw, files), prepared)
    assert manifest.arrays == usual.arrays
    assert manifest.digest != usual.digest

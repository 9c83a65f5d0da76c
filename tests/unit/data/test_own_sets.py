"""Data sets of a user's own, in each format: what is prepared from their files, and what is said of it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlpsweep.data.dataset import Dataset
from mlpsweep.data.manifest import Manifest
from mlpsweep.data.ready import DataFolders
from mlpsweep.errors import DataError, SettingsError
from mlpsweep.settings import DataSettings, DistortSettings
from mlpsweep.training.run import run_training
from tests import own_sets
from tests.own_sets import SHAPE, WRITERS, csv_text, described, halves, images, npz_bytes, table_rows, write_csv
from tests.raw_files import idx
from tests.search_lab import base_settings


def opened(settings: DataSettings, folder: Path) -> Dataset:
    return DataFolders.below(folder).open(settings, with_test=True)[1]


def rows_of(dataset: Dataset, split: str = "train") -> Any:
    """All rows of a file, whatever the split takes of it."""
    part = getattr(dataset, split)
    assert part is not None
    return part.images, part.labels


@pytest.mark.parametrize("form", ["idx", "npz"])
def test_images_are_prepared_as_they_are_and_labels_from_0(form: str, tmp_path: Path) -> None:
    dataset = opened(WRITERS[form](tmp_path), tmp_path)
    for split, (pixels, labels) in halves().items():
        prepared, numbers = rows_of(dataset, split)
        assert np.array_equal(prepared.reshape(-1, *SHAPE), pixels)
        assert np.array_equal(numbers, labels - 3)
    manifest = dataset.manifest
    assert (manifest.image_shape, manifest.class_names, manifest.holds_images) == (SHAPE, tuple("34567"), True)


def test_a_folder_of_pictures_is_its_pixels_by_class_and_a_fifth_is_for_testing(tmp_path: Path) -> None:
    dataset = opened(WRITERS["images"](tmp_path), tmp_path)
    assert dataset.manifest.counts == {"train": 48, "test": 12}
    pixels, labels = images()
    known = {image.tobytes(): label - 3 for image, label in zip(pixels, labels, strict=True)}
    found = []
    for rows, numbers in (rows_of(dataset, split) for split in ("train", "test")):
        found.append({row.tobytes(): int(number) for row, number in zip(rows, numbers, strict=True)})
    assert not found[0].keys() & found[1].keys()
    assert found[0] | found[1] == known
    assert max(dataset.manifest.class_counts["test"]) - min(dataset.manifest.class_counts["test"]) <= 1


def test_a_folder_may_have_a_test_half(tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    for split, n_rows in (("train", 30), ("test", 10)):
        own_sets.write_pictures(tmp_path / split, n_rows)
        (tmp_path / split / "pictures").rename(tmp_path / "both" / split)
    dataset = opened(described("both", format="images", path=str(tmp_path / "both")), tmp_path)
    assert dataset.manifest.counts == {"train": 30, "test": 10}


def test_a_table_has_mean_0_and_variance_1_over_its_training_rows(tmp_path: Path) -> None:
    dataset = opened(write_csv(tmp_path), tmp_path)
    manifest, (train, labels) = dataset.manifest, rows_of(dataset)
    assert (manifest.counts, train.dtype, manifest.holds_images) == ({"train": 32, "test": 8}, np.float32, False)
    assert train.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert train.std(axis=0) == pytest.approx(1, rel=1e-6)
    assert (dataset.scale, dataset.shift) == (1, 0)
    assert manifest.class_names == ("emu", "ibis", "owl")
    assert labels.max() == 2


def test_a_manifest_tells_how_a_row_of_a_table_becomes_features(tmp_path: Path) -> None:
    manifest = opened(write_csv(tmp_path), tmp_path).manifest
    names = [(column["name"], column["category"]) for column in manifest.columns]
    assert names == [("length", None), ("colour", "grey"), ("colour", "white"), ("weight", None)]
    values: dict[str, Any] = {}
    for row in table_rows():
        raw = dict(zip(own_sets.HEADER, row, strict=True))
        told = (raw[c["name"]] if c["category"] is None else raw[c["name"]] == c["category"] for c in manifest.columns)
        features = [(value - c["mean"]) / c["std"] for value, c in zip(told, manifest.columns, strict=True)]
        values[np.array(features, np.float32).tobytes()] = row[3]
    folder = tmp_path / "data/prepared/birds"
    for split in ("train", "test"):
        labels = np.load(folder / f"{split}_labels.npy")
        for features, label in zip(np.load(folder / f"{split}_images.npy"), labels, strict=True):
            assert values[features.tobytes()] == manifest.class_names[label]


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (csv_text(table_rows(), end="\r\n"), {}),
        ("\ufeff" + csv_text(table_rows()), {}),
        (csv_text(table_rows(), delimiter=";"), {}),
        (csv_text(table_rows(), delimiter="\t"), {}),
        (csv_text(table_rows()).replace("\n", "\n\n"), {}),
        (csv_text(table_rows()).replace(",", ", "), {}),
        (csv_text([[row[3], *row[:3]] for row in table_rows()], ("species", *own_sets.HEADER[:3])), {}),
        (csv_text([[7, *row] for row in table_rows()], ("id", *own_sets.HEADER)), {"ignore": ["id"]}),
    ],
    ids=["CRLF", "BOM", "semicolons", "tabs", "empty lines", "blanks", "label first", "a column left out"],
)
def test_a_table_is_the_same_however_it_is_written(text: str, more: dict[str, Any], tmp_path: Path) -> None:
    usual = opened(write_csv(tmp_path / "usual"), tmp_path / "usual").manifest
    manifest = opened(write_csv(tmp_path, text, **more), tmp_path).manifest
    assert (manifest.arrays, manifest.columns) == (usual.arrays, usual.columns)


def test_a_file_without_a_header_names_its_label_by_number(tmp_path: Path) -> None:
    text = csv_text(table_rows()).partition("\n")[2]
    manifest = opened(write_csv(tmp_path, text, label=3), tmp_path).manifest
    assert [column["name"] for column in manifest.columns] == ["0", "1", "1", "2"]
    assert sum(manifest.counts.values()) == 40


def test_numbers_may_be_categories(tmp_path: Path) -> None:
    manifest = opened(write_csv(tmp_path, categories=["weight"]), tmp_path).manifest
    assert [column["category"] for column in manifest.columns if column["name"] == "weight"] == ["100", "300", "900"]


def test_a_table_may_have_a_test_file_with_its_columns_in_another_order(tmp_path: Path) -> None:
    settings = write_csv(tmp_path / "raw")
    turned = csv_text([row[::-1] for row in table_rows(15, 6)], own_sets.HEADER[::-1])
    (tmp_path / "raw/test.csv").write_text(turned)
    files = {"train": {"name": "birds.csv"}, "test": {"name": "test.csv"}}
    dataset = opened(dataclasses.replace(settings, path=str(tmp_path / "raw"), files=files), tmp_path)
    assert dataset.manifest.counts == {"train": 40, "test": 15}
    lengths = {round(row[0], 3) for row in table_rows(15, 6)}
    column = dataset.manifest.columns[0]
    assert {round(float(x) * column["std"] + column["mean"], 3) for x in rows_of(dataset, "test")[0][:, 0]} == lengths


def test_pixels_may_stand_in_a_table(tmp_path: Path) -> None:
    pixels, labels = images(30)
    rows = [[label, *image.ravel()] for image, label in zip(pixels, labels, strict=True)]
    header = ("label", *(f"pixel{k}" for k in range(240)))
    settings = write_csv(tmp_path, csv_text(rows, header), label="label", image_shape=SHAPE)
    dataset = opened(settings, tmp_path)
    prepared = np.vstack([rows_of(dataset, split)[0] for split in ("train", "test")])
    assert (prepared.dtype, dataset.manifest.image_shape) == (np.uint8, SHAPE)
    assert {row.tobytes() for row in prepared} == {image.tobytes() for image in pixels}


def test_an_archive_of_numbers_is_a_table(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(5, 3, (50, 7)), np.array(["no", "yes"] * 25)
    (tmp_path / "t.npz").write_bytes(npz_bytes(x_train=x, y_train=y))
    manifest = opened(described("t", format="npz", path=str(tmp_path / "t.npz")), tmp_path).manifest
    assert (manifest.n_features, manifest.class_names, manifest.counts["test"]) == (7, ("no", "yes"), 10)


@pytest.mark.parametrize(
    "change", [lambda x: x[..., None], lambda x: x.reshape(len(x), -1)], ids=["one channel", "flat"]
)
def test_an_archive_of_images_in_another_shape(change: Callable[[Any], Any], tmp_path: Path) -> None:
    usual = opened(WRITERS["npz"](tmp_path / "usual"), tmp_path / "usual").manifest.arrays
    arrays = {}
    for split, (pixels, labels) in halves().items():
        arrays |= {f"x_{split}": change(pixels), f"y_{split}": labels[:, None]}
    (tmp_path / "own.npz").write_bytes(npz_bytes(**arrays))
    settings = described("own_npz", format="npz", path=str(tmp_path / "own.npz"), image_shape=SHAPE)
    assert opened(settings, tmp_path).manifest.arrays == usual


def test_more_than_256_classes_have_numbers_of_two_bytes(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(1000) * 7 - 300, 5)
    (tmp_path / "t.npz").write_bytes(npz_bytes(x_train=np.random.default_rng(0).normal(size=(5000, 3)), y_train=labels))
    dataset = opened(described("t", format="npz", path=str(tmp_path / "t.npz")), tmp_path)
    _, numbers = rows_of(dataset)
    assert (numbers.dtype, numbers.max(), dataset.manifest.class_names[0]) == (np.uint16, 999, "-300")
    assert min(dataset.manifest.class_counts["train"]) >= 3


def test_names_of_classes_are_those_of_the_labels_in_order(tmp_path: Path) -> None:
    names = ["three", "four", "five", "six", "seven"]
    manifest = opened(WRITERS["idx"](tmp_path, class_names=names, label_offset=3), tmp_path).manifest
    assert manifest.class_names == tuple(names)


def test_texts_are_numbered_in_the_order_of_their_names(tmp_path: Path) -> None:
    dataset = opened(write_csv(tmp_path, class_names=["owl", "emu", "ibis"]), tmp_path)
    assert dataset.manifest.class_names == ("owl", "emu", "ibis")
    lengths = [rows_of(dataset)[0][rows_of(dataset)[1] == k][:, 0].mean() for k in range(3)]
    assert lengths[0] < lengths[2] < lengths[1]  # 1, 3 and 9


def test_emnist_stands_upright_and_its_labels_begin_at_0(tmp_path: Path) -> None:
    dataset = opened(own_sets.write_emnist(tmp_path / "gzip.zip", 52), tmp_path)
    rows, labels = rows_of(dataset)
    assert np.array_equal(rows.reshape(-1, 28, 28), own_sets.upright_letters(52))
    assert np.array_equal(labels, np.arange(52) % 26)
    assert dataset.manifest.class_names[:3] == ("a", "b", "c")


def test_qmnists_labels_are_the_first_column(tmp_path: Path) -> None:
    dataset = opened(own_sets.write_qmnist(tmp_path / "q"), tmp_path)
    assert np.array_equal(rows_of(dataset)[1], np.arange(40) % 10)
    assert dataset.manifest.class_names == tuple("0123456789")


def test_the_cut_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = (opened(write_csv(tmp_path / name), tmp_path / name).manifest for name in "ab")
    assert (first.digest, first.arrays) == (second.digest, second.arrays)


def test_rows_decide_the_digest_not_their_title(tmp_path: Path) -> None:
    plain = opened(write_csv(tmp_path / "a"), tmp_path / "a").manifest
    titled = opened(write_csv(tmp_path / "b", title="Birds"), tmp_path / "b").manifest
    assert (plain.title, titled.title, plain.digest) == ("birds", "Birds", titled.digest)
    rows = table_rows()
    rows[7][0] += 1
    assert opened(write_csv(tmp_path / "c", csv_text(rows)), tmp_path / "c").manifest.digest != plain.digest


def test_a_constant_column_is_0(tmp_path: Path) -> None:
    rows = [[*row[:2], 0.1, row[3]] for row in table_rows()]
    dataset = opened(write_csv(tmp_path, csv_text(rows)), tmp_path)
    assert (np.abs(rows_of(dataset)[0][:, 3]) < 1e-12).all()
    assert dataset.manifest.columns[3]["std"] == 1


def test_a_set_declared_otherwise_is_not_taken_from_what_was_prepared(tmp_path: Path) -> None:
    settings = write_csv(tmp_path)
    folders = DataFolders.below(tmp_path)
    folders.open(settings)
    with pytest.raises(DataError, match=r"birds: prepared from .*; expected .*colour.*Run `python -m pipeline.prepare"):
        folders.open(dataclasses.replace(settings, label="colour"))
    folders.prepare(dataclasses.replace(settings, label="colour"))
    assert folders.open(dataclasses.replace(settings, label="colour"))[1].manifest.class_names == ("grey", "white")


@pytest.mark.parametrize("form", WRITERS)
def test_a_training_learns_from_each_format(form: str, tmp_path: Path) -> None:
    settings = WRITERS[form](tmp_path)
    dataset = opened(settings, tmp_path)
    job = base_settings(
        data=settings, n_epochs=60, hidden_sizes=[16], learning_rate=0.1, batch_size=8, activation="relu"
    )
    result = run_training(job, dataset)
    assert result.metrics()["train/accuracy"] > 0.9


def test_a_table_is_not_distorted(tmp_path: Path) -> None:
    settings = write_csv(tmp_path)
    job = base_settings(data=settings, augment=DistortSettings(), batch_size=8)
    with pytest.raises(SettingsError, match="augment: distort moves pixels, and the data are no images"):
        run_training(job, opened(settings, tmp_path))


@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_scikit_learns_tables_are_its_own_numbers(name: str, tmp_path: Path) -> None:
    import sklearn.datasets

    settings = DataSettings.named(name)
    dataset = opened(settings, tmp_path)
    bunch, manifest = getattr(sklearn.datasets, f"load_{name}")(), dataset.manifest
    assert sum(manifest.counts.values()) == len(bunch.target)
    assert [column["name"] for column in manifest.columns] == list(bunch.feature_names)
    mean, std = (np.array([column[key] for column in manifest.columns]) for key in ("mean", "std"))
    known = {tuple(np.round(row, 3)): bunch.target_names[k] for row, k in zip(bunch.data, bunch.target, strict=True)}
    for split in ("train", "test"):
        rows, labels = rows_of(dataset, split)
        for row, label in zip(rows * std + mean, labels, strict=True):
            scale = np.maximum(1, np.abs(row))
            nearest = min(bunch.data, key=lambda one: (np.abs(one - row) / scale).max())
            assert known[tuple(np.round(nearest, 3))] == manifest.class_names[label]


@pytest.mark.parametrize(("name", "digest"), [("wine", "abf4e46bac00d6db"), ("breast_cancer", "888f727bbb9a52c3")])
def test_scikit_learns_tables_have_the_same_digest_everywhere(name: str, digest: str, tmp_path: Path) -> None:
    assert opened(DataSettings.named(name), tmp_path).manifest.digest[:16] == digest


def test_a_manifest_of_a_table_is_read_back(tmp_path: Path) -> None:
    dataset = opened(write_csv(tmp_path, ignore=["weight"]), tmp_path)
    read = Manifest.read(tmp_path / "data/prepared/birds")
    assert (read, read.digest) == (dataset.manifest, dataset.manifest.digest)
    assert read.declared == {"label": "species", "ignore": ["weight"]}


def test_one_file_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    import tracemalloc

    labels = (np.arange(40_000) % 10).astype(np.uint8)
    pixels = np.random.default_rng(0).integers(0, 256, (40_000, 40, 40), np.uint8)
    files = {"train_images": {"name": "images"}, "train_labels": {"name": "labels"}}
    (tmp_path / "images").write_bytes(idx(pixels))
    (tmp_path / "labels").write_bytes(idx(labels))
    del pixels
    settings = described("big", format="idx", path=str(tmp_path), files=files)
    tracemalloc.start()
    try:
        DataFolders.below(tmp_path).open(settings)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30e6  # of 64 MB


def test_colours_become_grey(tmp_path: Path) -> None:
    for name, colour in (("red", (255, 0, 0)), ("white", (255, 255, 255))):
        (tmp_path / "c" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (5, 4), colour).save(tmp_path / "c" / name / f"{number}.png")
    dataset = opened(described("c", format="images", path=str(tmp_path / "c"), n_validation=2), tmp_path)
    rows, labels = rows_of(dataset)
    assert {(int(row[0]), int(label)) for row, label in zip(rows, labels, strict=True)} == {(76, 0), (255, 1)}

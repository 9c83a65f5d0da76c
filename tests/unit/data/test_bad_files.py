"""Files that cannot be used: exit code 3, a sentence with file, place and remedy, nothing half-written."""

import dataclasses
import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mlpsweep.data.formats import local_files, read_parts
from mlpsweep.data.halves import Halves
from mlpsweep.data.ready import DataFolders
from mlpsweep.errors import DataError
from mlpsweep.settings import DataSettings
from tests.own_sets import (
    HEADER,
    WRITERS,
    csv_text,
    described,
    halves,
    images,
    npz_bytes,
    table_rows,
    write_csv,
    write_emnist,
    write_idx,
    write_npz,
    write_pictures,
)
from tests.raw_files import idx, snapshot

Bad = Callable[[Path], DataSettings]


def changed(line: int, column: int, value: Any, **more: Any) -> Bad:
    """A table with another value in a cell; lines are counted as an editor does."""
    rows = table_rows()
    rows[line - 2][column] = value
    return lambda folder: write_csv(folder, csv_text(rows), **more)


def table(text: str | bytes, **more: Any) -> Bad:
    return lambda folder: write_csv(folder, text, **more)


def with_test(rows: list[list[Any]], header: tuple[str, ...] = HEADER) -> Bad:
    """A table with a test file of its own."""

    def write(folder: Path) -> DataSettings:
        base = write_csv(folder)
        (folder / "test.csv").write_text(csv_text(rows, header))
        files = {"train": {"name": "birds.csv"}, "test": {"name": "test.csv"}}
        return dataclasses.replace(base, path=str(folder), files=files)

    return write


def picture(spoil: Callable[[Path], Any]) -> Bad:
    def write(folder: Path) -> DataSettings:
        described = write_pictures(folder)
        spoil(folder / "pictures")
        return described

    return write


def packed(name: str, spoil: Callable[[bytes], bytes]) -> Bad:
    """IDX files, one of them with other contents, packed anew."""

    def write(folder: Path) -> DataSettings:
        described = write_idx(folder)
        path = folder / f"{name}.gz"
        path.write_bytes(gzip.compress(spoil(gzip.decompress(path.read_bytes()))))
        return described

    return write


def archive(**arrays: Any) -> Bad:
    """Keras' arrays with others in place of some; None leaves one out."""

    def write(folder: Path) -> DataSettings:
        described = write_npz(folder)
        usual = {f"{a}_{s}": array for s, pair in halves().items() for a, array in zip("xy", pair, strict=True)}
        kept = {name: array for name, array in (usual | arrays).items() if array is not None}
        (folder / "own.npz").write_bytes(npz_bytes(**kept))
        return described

    return write


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def cut_archive(folder: Path) -> DataSettings:
    described = write_npz(folder)
    cut(folder / "own.npz")
    return described


def cut_pack(folder: Path) -> DataSettings:
    described = write_idx(folder)
    cut(folder / "train_images.gz")
    return described


def lacking_member(folder: Path) -> DataSettings:
    base = write_emnist(folder / "gzip.zip")
    return dataclasses.replace(base, files=base.files | {"train_images": {"name": "gzip/emnist-balanced"}})


def gone(folder: Path) -> DataSettings:
    base = write_csv(folder)
    (folder / "birds.csv").unlink()
    return base


def of_numbers(x: Any) -> Bad:
    def write(folder: Path) -> DataSettings:
        (folder / "t.npz").write_bytes(npz_bytes(x_train=x, y_train=np.arange(len(x)) % 2))
        return described("t", format="npz", path=str(folder / "t.npz"))

    return write


def pixels_of(value: Any) -> Bad:
    rows = [[k % 2, *([9] * 6)] for k in range(20)]
    rows[3][5] = value
    text = csv_text(rows, ("label", *"abcdef"))
    return lambda folder: write_csv(folder, text, label="label", image_shape=[2, 3])


LETTERS = [["a" * k, "grey", 1, "owl"] for k in range(1, 130)]
NUMBERS = np.random.default_rng(0).normal(size=(30, 4))
NUMBERS_WITH_NAN = np.where(np.arange(120).reshape(30, 4) == 50, np.nan, NUMBERS)
TWO_GB = struct.pack(">4B3I", 0, 0, 8, 3, 2_500_000, 28, 28)
BAD: dict[str, tuple[Bad, str]] = {
    "another column": (table(csv_text(table_rows()), label="specie"), r"birds.csv: no column 'specie' .*did you mean"),
    "text in numbers": (changed(9, 0, "tall"), r"birds.csv: line 9, column 'length': 'tall'; expected a number, as in"),
    "a number in texts": (changed(9, 1, 7), r"line 9, column 'colour': 7 is a number below texts; .*categories: \[col"),
    "an empty cell": (changed(5, 2, ""), r"line 5, column 'weight': the value is missing \(''\); .*Fill it in, or rem"),
    "NaN": (changed(5, 2, "NaN"), r"line 5, column 'weight': the value is missing \('NaN'\)"),
    "infinity": (changed(5, 0, "-inf"), r"line 5, column 'length': '-inf'; expected a finite number"),
    "a huge number": (changed(5, 0, "1e200"), r"line 5, column 'length': 1e\+200; expected a finite number, 1e\+30 at"),
    "no number at all": (changed(2, 0, ""), r"line 2, column 'length': the value is missing"),
    "a missing category": (changed(7, 1, "?"), r"line 7, column 'colour': the value is missing \('\?'\)"),
    "a missing label": (changed(4, 3, " "), r"line 4, column 'species': the label is missing"),
    "a row too short": (table(csv_text(table_rows()) + "1,grey,2\n"), r"line 42: 3 cells; expected 4, as in line 1"),
    "a row too long": (table(csv_text(table_rows()) + "1,grey,2,owl,3\n"), r"line 42: 5 cells; expected 4"),
    "a quote that does not end": (table(csv_text(table_rows()) + '1,"grey,2,owl\n'), r"birds.csv: line 42: .*Mend the"),
    "two columns of one name": (table(csv_text(table_rows(), ("a", "a", "b", "species"))), "two columns 'a' in line 1"),
    "a column without a name": (table(csv_text(table_rows(), ("a", "", "b", "species"))), "a column without a name"),
    "a header alone": (table(csv_text([])), "birds.csv: no row below the header; expected one for each sample"),
    "an empty file": (table(""), "birds.csv: empty; expected a line of column names"),
    "nothing but labels": (table(csv_text([["owl"], ["emu"]] * 9, ("species",))), "no column but 'species'"),
    "UTF-16": (table(csv_text(table_rows()).encode("utf-16")), "birds.csv: not UTF-8 .*Save it as CSV with the encodi"),
    "Latin-1": (table(csv_text([["é", *row[1:]] for row in table_rows()]).encode("latin-1")), "birds.csv: not UTF-8"),
    "texts of each row's own": (table(csv_text(LETTERS)), r"line 102, column 'length': .* ignore: \[length\]"),
    "one class": (table(csv_text([[*row[:3], "owl"] for row in table_rows()])), r"1 different label, 'owl'; expected"),
    "a class for each row": (
        table(csv_text([[*row[:3], f"owl{k}"] for k, row in enumerate(table_rows())])), "no class has more than one ro",
    ),
    "equal rows": (table(csv_text([[1, "grey", 2, s] for s in ("owl", "emu") * 9])), "all training rows are equal"),
    "a label missing in the train file": (with_test([[1, "grey", 2, "auk"]]), r"test.csv: line 2: the label is 'auk';"),
    "a category missing in the train file": (with_test([[1, "red", 2, "owl"]]), r"test.csv: line 2, column 'colour':"),
    "a test file without a column": (
        with_test([[1, 2, "owl"]], ("length", "weight", "species")), "test.csv: lacks colour; expected the columns of",
    ),
    "a pixel of 256": (pixels_of(256), r"birds.csv: line 5, column 'e': 256 is no pixel; expected an integer, 0"),
    "half a pixel": (pixels_of(1.5), r"line 5, column 'e': 1.5 is no pixel"),
    "too few pixels": (
        table(csv_text(table_rows()), image_shape=[2, 3]), "4 columns and texts beside the label; expected 6 columns o",
    ),
    "too few names": (table(csv_text(table_rows()), class_names=["owl", "emu"]), r"3 different labels \(emu, ibis, ow"),
    "an offset of texts": (table(csv_text(table_rows()), label_offset=0), r"expected 0 \.\. 2, each in one row at lea"),
    "no file": (gone, "birds.csv: no such file or folder; .*Put it there, or set data.path"),
    "a folder for a file": (lambda folder: dataclasses.replace(write_csv(folder), path=str(folder)), "not a regular f"),
    "images of two sizes": (
        picture(lambda folder: Image.new("L", (21, 12)).save(folder / "5/new.png")),
        r"5/new.png: 12 x 21 pixels; expected 12 x 20, as .*3/000.png has. Bring all images to one size",
    ),
    "half an image": (picture(lambda folder: cut(folder / "4/001.png")), "4/001.png: not an image that can be read"),
    "a text called image": (picture(lambda folder: (folder / "3/a.png").write_text("no")), "3/a.png: not an image tha"),
    "16 bits": (
        picture(lambda folder: Image.fromarray(np.zeros((12, 20), np.uint16)).save(folder / "3/a.png")),
        "3/a.png: 12 x 20 pixels of mode 'I;16'; expected 8 bits a colour",
    ),
    "a class without images": (picture(lambda folder: (folder / "8").mkdir()), "8: no image in it; expected one at le"),
    "an image of no class": (
        picture(lambda folder: Image.new("L", (20, 12)).save(folder / "new.png")), "new.png: an image outside of the c",
    ),
    "notes among images": (picture(lambda folder: (folder / "3/notes.txt").write_text("")), "3/notes.txt: no image by"),
    "no classes": (lambda folder: described("p", format="images", path=str(folder)), "no folder in it; expected one o"),
    "2 GB in the header": (packed("train_images", lambda raw: TWO_GB + raw[16:]), "has shape .2500000, 28, 28. and"),
    "2 GB of labels": (
        packed("train_labels", lambda raw: struct.pack(">4BI", 0, 0, 8, 1, 2**31) + raw[8:]),
        r"train_labels.gz: holds 68 bytes; expected 2147483656, because the header promises shape \(2147483648,\)",
    ),
    "sent as text": (packed("train_images", lambda raw: raw.replace(b"\n", b"\r\n")), "holds more than 14416 bytes; e"),
    "a byte too few": (packed("test_images", lambda raw: raw[:-1]), "holds 4815 bytes; expected 4816"),
    "floats": (packed("train_images", lambda raw: b"\0\0\x0d" + raw[3:]), "it starts with 00000d03; expected an IDX f"),
    "flat images": (packed("train_images", lambda raw: idx(np.zeros(60, np.uint8))), "expected unsigned bytes of shap"),
    "a label too many": (
        packed("train_labels", lambda raw: idx(np.zeros(61, np.uint8))), "expected one label for each image",
    ),
    "test images of another size": (
        packed("test_images", lambda raw: idx(images(20, shape=(20, 12))[0])), r"rows of shape \(20, 12\); expected",
    ),
    "black images": (packed("train_images", lambda raw: raw[:16] + bytes(len(raw) - 16)), "every pixel of the train f"),
    "half a pack": (cut_pack, "train_images.gz: damaged data after .* bytes .*Put a whole file in its place"),
    "a member that is not there": (lacking_member, "gzip.zip: no file 'gzip/emnist-balanced' in it; expected one of g"),
    "half an archive": (cut_archive, "own.npz: no archive of arrays; expected an .npz with x_train and y_train"),
    "no labels": (archive(y_train=None), "own.npz: no array y_train, only x_test, x_train, y_test; expected both"),
    "Python objects": (archive(y_train=np.array([{}] * 60)), "y_train.npy: holds Python objects; expected numbers or"),
    "columns first": (archive(x_train=np.asfortranarray(halves()["train"][0])), "x_train.npy: holds columns first"),
    "colours": (archive(x_train=np.zeros((60, 4, 4, 3), np.uint8)), r"uint8 of shape \(60, 4, 4, 3\); .*Average the c"),
    "shares of brightness": (archive(x_train=np.zeros((60, 4, 4))), r"float64 of shape \(60, 4, 4\); .*multiply share"),
    "one-hot labels": (archive(y_train=np.eye(5)[np.arange(60) % 5]), r"float64 of shape \(60, 5\); .*y.argmax\(axis="),
    "a row without a label": (archive(y_train=np.arange(59)), r"x_train has shape \(60, 12, 20\) and y_train \(59,\)"),
    "NaN in an array": (of_numbers(NUMBERS_WITH_NAN), "t.npz: row 13 of train, column 'x2': nan; expected a finite nu"),
}  # fmt: skip


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_is_told_with_place_and_remedy_and_nothing_is_half_written(
    bad: Bad, message: str, tmp_path: Path
) -> None:
    (tmp_path / "given").mkdir()
    own = bad(tmp_path / "given")
    before = snapshot(tmp_path / "given")
    with pytest.raises(DataError, match=message) as told:
        DataFolders.below(tmp_path / "project").open(own)
    assert told.value.exit_code == 3
    assert "expected" in str(told.value)
    assert not str(told.value).startswith(("[", "'"))
    left = {name for name in snapshot(tmp_path / "project") if not name.endswith((".lock", "source.json"))}
    assert left <= {f"data/raw/{own.name}/lock.json"} if message.startswith("every pixel") else left == set()
    assert snapshot(tmp_path / "given") == before


def read_whole(own: DataSettings) -> None:
    for half in Halves.of(read_parts(local_files(own), own), own).files.values():
        for _ in half.rows():
            pass


def damage(raw: bytes, kind: str, place: float, value: bytes) -> bytes:
    at = int(place * len(raw))
    if kind == "cut":
        return raw[:at]
    if kind == "insert":
        return raw[:at] + value + raw[at:]
    return raw[:at] + value + raw[at + (len(value) if kind == "replace" else len(value) * 20) :]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DataSettings]:
    return {form: write(tmp_path_factory.mktemp(form)) for form, write in WRITERS.items()}


def files_below(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(
    form=st.sampled_from(sorted(WRITERS)),
    number=st.integers(0, 1000),
    kind=st.sampled_from(["cut", "insert", "replace", "remove"]),
    place=st.floats(0, 1, exclude_max=True),
    value=st.binary(min_size=1, max_size=12)
    | st.sampled_from([b"\0", b"\xff" * 8, b",", b'"', b"\n", b"\r\n", b"1e999"]),
)
@example(form="npz", number=0, kind="replace", place=0.0, value=b"\xff" * 8)
def test_no_damage_ends_in_another_error_than_a_data_error(
    form: str, number: int, kind: str, place: float, value: bytes, sound: dict[str, DataSettings]
) -> None:
    read_whole(sound[form])
    files = files_below(Path(sound[form].path or ""))
    path = files[number % len(files)]
    raw = path.read_bytes()
    path.write_bytes(damage(raw, kind, place, value))
    try:
        read_whole(sound[form])
    except DataError as error:
        assert "expected" in str(error)  # noqa: PT017  # sound damage is none: pytest.raises would demand an error
    finally:
        path.write_bytes(raw)


def unpacked(own: DataSettings) -> Path:
    """Return the folder of IDX files as they are inside of their packs: there, no checksum hides the readers."""
    folder = Path(own.path or "")
    for path in folder.glob("*.gz"):
        path.write_bytes(gzip.decompress(path.read_bytes()))
    return folder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(header=st.binary(min_size=0, max_size=20), role=st.sampled_from(["train_images", "train_labels", "test_images"]))
def test_no_header_of_an_idx_file_ends_in_another_error(
    header: bytes, role: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = write_idx(tmp_path_factory.mktemp("idx"))
    path = unpacked(own) / f"{role}.gz"
    path.write_bytes(header + path.read_bytes()[len(header) :])
    try:
        read_whole(own)
    except DataError as error:
        assert "expected" in str(error)  # noqa: PT017

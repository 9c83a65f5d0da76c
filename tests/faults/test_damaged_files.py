"""What people edit or damage ends a door with 3 or 4 and one sentence with the remedy, the file as it was."""

import contextlib
import json
import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from mlpsweep.data.manifest import _digest
from mlpsweep.training.arrays import pack_arrays, unpack_arrays
from tests.mutations.damage import KINDS
from tests.mutations.files import COMPARE, EVALUATE, RELU, REPORT, TRAIN, VERIFY, drawn
from tests.mutations.project import SEARCH, Project, run

pytestmark = pytest.mark.fault
CONFIG, MODEL, HISTORY = (f"{RELU}/{name}" for name in ("config.yaml", "model.npz", "history.csv"))
RECORD = f"{RELU}.run.json"
SUMMARY, TRIALS = "artifacts/digits/search/summary.json", "artifacts/digits/search/trials.csv"
PREDICTIONS = "artifacts/digits/evaluate/relu/predictions.csv"
MANIFEST, MLFLOW, OPTUNA = "data/prepared/digits/manifest.json", "mlflow.db", "mlruns/optuna.db"
REMEDY = re.compile(r"[Tt]rain|dvc repro|Delete it|Evaluate|[Rr]estore|backup|[Mm]ove")
PIXEL = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.make(tmp_path_factory.mktemp("damaged"))


@pytest.fixture
def folder(project: Project) -> Iterator[Path]:
    with project.entered() as folder:
        yield folder


def refused(path: Path, command: str, code: int) -> str:
    """Return the one sentence with which a door ends; the file is as before, and if it is a folder still one."""
    before = path.read_bytes() if path.is_file() else None
    ended = run(command)
    assert (ended.code, len(ended.faults)) == (code, 1), ended
    assert (path.read_bytes() if path.is_file() else None) == before
    assert len(ended.faults[0]) < 700
    return ended.faults[0]


def as_bytes(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def as_json(value: Any) -> Callable[[Path], None]:
    return as_bytes(json.dumps(value).encode())


def as_folder(path: Path) -> None:
    KINDS["a folder"](path, random.Random(0))


def as_dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def edited(old: str, new: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


def told(**changes: Any) -> Callable[[Path], None]:
    """Change what a model says of itself."""

    def edit(path: Path) -> None:
        arrays = unpack_arrays(path.read_bytes(), path.name)
        about = json.loads(arrays["about"].tobytes()) | changes
        path.write_bytes(pack_arrays({**arrays, "about": np.frombuffer(json.dumps(about).encode(), np.uint8)}))

    return edit


def said_of_origin(name: str, value: Any) -> Callable[[Path], None]:
    """Change one thing that a model says of where it comes from."""

    def edit(path: Path) -> None:
        about = json.loads(unpack_arrays(path.read_bytes(), path.name)["about"].tobytes())
        told(metadata={**about["metadata"], name: value})(path)

    return edit


def of_wine(path: Path) -> None:
    """Let the model beside a training's settings say that it is of another data set."""
    said_of_origin("dataset", "wine")(path.with_name("model.npz"))


def nan_weight(path: Path) -> None:
    arrays = unpack_arrays(path.read_bytes(), path.name)
    arrays["weight_0"][0, 0] = np.nan
    path.write_bytes(pack_arrays(arrays))


def signed(**changes: Any) -> Callable[[Path], None]:
    """Change a manifest, with the digest that fits."""

    def edit(path: Path) -> None:
        values = json.loads(path.read_text()) | changes
        del values["digest"]
        path.write_text(json.dumps(values | {"digest": _digest(values)}))

    return edit


def sql(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            for statement in statements:
                assert connection.execute(statement).rowcount > 0

    return change


def noise_on_page(number: int) -> Callable[[Path], None]:
    def overwrite(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[4096 * (number - 1) : 4096 * number] = random.Random(number).randbytes(4096)
        path.write_bytes(data)

    return overwrite


def from_winner(path: Path) -> None:
    path.write_bytes(Path(str(path).replace("/relu", "/winner")).read_bytes())


def unrendered(figure: Figure, target: Any, **options: Any) -> None:
    """Put a pixel where a figure would be."""
    target.write(PIXEL)


Case = tuple[str, Callable[[Path], None], str, int]
CASES: dict[str, Case] = {
    "config.yaml not UTF-8": (CONFIG, as_bytes(b"seed: \xff\xfe"), EVALUATE, 3),
    "config.yaml bad YAML": (CONFIG, as_bytes(b"seed: ["), EVALUATE, 3),
    "config.yaml with a Python tag": (CONFIG, as_bytes(b"seed: !!python/object/apply:os.getpid []"), EVALUATE, 3),
    "config.yaml a folder": (CONFIG, as_folder, EVALUATE, 3),
    "config.yaml nested without end": (CONFIG, as_bytes(b"[" * 20_000), EVALUATE, 3),
    "model.npz a folder": (MODEL, as_folder, EVALUATE, 3),
    "model.npz with a NaN weight": (MODEL, nan_weight, EVALUATE, 3),
    "model.npz with a NaN scale": (MODEL, told(scale=float("nan")), EVALUATE, 3),
    "model.npz with a scale beyond floats": (MODEL, told(scale=10**400), EVALUATE, 3),
    "model.npz without metadata": (MODEL, told(metadata={}), EVALUATE, 3),
    **{
        f"model.npz with {name} {value!r} ({command.split()[0]})": (MODEL, said_of_origin(name, value), command, 3)
        for name in ("dataset", "stands_in_for", "data_digest", "run_key", "settings_digest", "origin")
        for value in ([], "?", 5, {"a": [1]})
        for command in (EVALUATE, VERIFY, REPORT)
    },
    **{
        f"model.npz of another data set ({command.split()[0]})": (CONFIG, of_wine, command, 3)
        for command in (EVALUATE, VERIFY, REPORT)
    },
    **{
        f"run.json {text}": (RECORD, as_bytes(text.encode()), EVALUATE, 3)
        for text in ("{}", "[]", "null", '{"run_id": 5}', '{"run_id": "a", "seconds": 1e999}')
    },
    "run.json [] (report)": (RECORD, as_json([]), REPORT, 3),
    "history.csv binary": (HISTORY, as_bytes(bytes(range(256))), VERIFY, 3),
    "history.csv with an infinity": (HISTORY, edited("\n1,", "\ninf,"), REPORT, 3),
    "predictions.csv empty": (PREDICTIONS, as_bytes(b""), REPORT, 3),
    "predictions.csv a folder": (PREDICTIONS, as_folder, REPORT, 3),
    "summary.json [] (report)": (SUMMARY, as_json([]), REPORT, 3),
    "summary.json without a study": (SUMMARY, as_json({"metric": "validation/accuracy"}), REPORT, 3),
    "trials.csv a folder": (TRIALS, as_folder, REPORT, 3),
    "trials.csv with an infinity": (TRIALS, edited(",complete,", ",complete,inf"), REPORT, 3),
    "manifest with one side": (MANIFEST, signed(image_shape=[1]), TRAIN, 3),
    "manifest without arrays": (MANIFEST, signed(arrays={}), TRAIN, 3),
    "manifest without classes": (MANIFEST, signed(class_names=None), TRAIN, 3),
    "manifest of pixels without spread": (MANIFEST, signed(pixel_std=0), TRAIN, 3),
    "manifest with half a count": (MANIFEST, signed(counts={"train": 0.5, "test": 1}), TRAIN, 3),
    "manifest of a set that is none": (MANIFEST, signed(dataset="?"), TRAIN, 3),
    "another training's model.npz": (MODEL, from_winner, EVALUATE, 3),
    "another training's config.yaml": (CONFIG, from_winner, EVALUATE, 3),
    "config.yaml with another seed": (CONFIG, edited("seed: 0", "seed: 7"), EVALUATE, 3),
    "config.yaml with another scaling": (CONFIG, edited("scaling: standardize", "scaling: unit"), EVALUATE, 3),
    "optuna.db: a study attribute that is no JSON": (
        OPTUNA, sql("UPDATE study_user_attributes SET value_json = '{'"), SEARCH, 4),
    "optuna.db: an identity that is a list": (
        OPTUNA, sql("UPDATE study_user_attributes SET value_json = '[]'"), SEARCH, 4),
    "optuna.db: a parameter out of its range": (
        OPTUNA, sql("UPDATE mlpsweep_lease SET params = json_set(params, '$.learning_rate', 99)"), SEARCH, 4),
    "optuna.db: a choice that is none": (
        OPTUNA, sql("UPDATE mlpsweep_lease SET params = json_set(params, '$.activation', 99)"), SEARCH, 4),
    "optuna.db: a width missing": (
        OPTUNA, sql("UPDATE mlpsweep_lease SET params = json_remove(params, '$.\"hidden_sizes.1\"')"), SEARCH, 4),
    "optuna.db: an activation missing": (
        OPTUNA, sql("UPDATE mlpsweep_lease SET params = json_remove(params, '$.activation')"), SEARCH, 4),
    "optuna.db: a fact missing": (
        OPTUNA, sql("UPDATE mlpsweep_lease SET notes = json_remove(notes, '$.weights_hash')"), SEARCH, 4),
    "optuna.db: the loss a list": (
        OPTUNA, sql("UPDATE mlpsweep_lease SET notes = json_set(notes, '$.validation/loss', json('[]'))"), SEARCH, 4),
    "optuna.db: a complete trial without its value": (OPTUNA, sql("UPDATE mlpsweep_lease SET value = NULL"), SEARCH, 4),
    "optuna.db: a complete trial with an endless value": (
        OPTUNA, sql("UPDATE mlpsweep_lease SET value = 9e999"), SEARCH, 4),
    "optuna.db: a number that is no integer": (OPTUNA, sql("UPDATE mlpsweep_lease SET slot = slot + 0.5"), SEARCH, 4),
    "optuna.db: noise on a page": (OPTUNA, noise_on_page(2), SEARCH, 4),
    "optuna.db: no database": (OPTUNA, as_bytes(b"text" * 999), SEARCH, 4),
    "mlflow.db: noise on a page": (MLFLOW, noise_on_page(2), TRAIN, 4),
    "mlflow.db: noise on a page (compare)": (MLFLOW, noise_on_page(2), COMPARE, 4),
    "mlflow.db a folder": (MLFLOW, as_folder, TRAIN, 4),
    "mlflow.db a link to nowhere": (MLFLOW, as_dead_link, TRAIN, 4),
    "mlflow.db a FIFO": (MLFLOW, lambda path: KINDS["a FIFO"](path, random.Random(0)), TRAIN, 4),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_damaged_file_is_refused_in_one_sentence(folder: Path, case: Case) -> None:
    name, damage, command, code = case
    damage(folder / name)
    sentence = refused(folder / name, command, code)
    assert Path(name).name.split(".")[0] in sentence
    assert REMEDY.search(sentence), sentence


@pytest.mark.parametrize("text", ["{}", "[]", '{"winner": 5}'])
def test_a_damaged_summary_does_not_touch_registration(folder: Path, text: str) -> None:
    (folder / SUMMARY).write_text(text)
    assert run(f"{EVALUATE.replace('relu', 'winner')} register=true").code == 0


def test_a_model_of_earlier_times_is_evaluated_with_a_note(folder: Path) -> None:
    arrays = unpack_arrays((folder / MODEL).read_bytes(), "model")
    metadata = json.loads(arrays["about"].tobytes())["metadata"]
    del metadata["settings_digest"]
    told(metadata=metadata)(folder / MODEL)
    ended = run(EVALUATE)
    assert ended.code == 0
    assert f"note: {RELU}: made before models held the digest of their settings" in ended.stderr


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_in_mlflow_db_are_refused_or_harmless(folder: Path, seed: int) -> None:
    file, draw = folder / MLFLOW, random.Random(seed)
    data = bytearray(file.read_bytes())
    for _ in range(64):
        data[draw.randrange(len(data))] ^= draw.randrange(1, 256)
    file.write_bytes(data)
    ended = run(TRAIN)
    assert ended.code in (0, 4), ended
    assert ended.code == 0 or file.read_bytes() == data


@pytest.mark.parametrize("kind", KINDS)
def test_thirty_random_damages_of_a_kind_end_no_door_with_a_bug(
    project: Project, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures are drawn and not rendered. ``make mutations`` renders them, and draws as many others as one likes."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", unrendered)
    for mutation in drawn(kind, 30, seed=17):
        ended, complaint = mutation.try_on(project)
        assert complaint is None, (complaint, mutation, ended)

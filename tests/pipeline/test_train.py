"""The door ``train``: outputs, tracked runs, multiruns with both launchers, statuses and exit codes."""

import json
from pathlib import Path

import pytest

from tests.pipeline.doors import TINY, door, tracked, tree

pytestmark = pytest.mark.slow
PARENT = "select count(*) from tags where key = 'mlflow.parentRunId'"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a folder with spaces")
    done = door(folder, "train", *TINY, "output_dir=first")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_fresh_folder_is_fetched_and_prepared_once_and_said_so(trained: Path) -> None:
    assert (trained / "data/prepared/digits/manifest.json").exists()
    again = door(trained, "train", *TINY, "output_dir=second")
    assert again.returncode == 0
    assert "missing" not in again.stderr


def test_outputs_of_equal_trainings_are_equal_bytes(trained: Path) -> None:
    assert door(trained, "train", *TINY, "output_dir=twin").returncode == 0
    files = sorted(path.name for path in (trained / "first").iterdir())
    assert files == ["batches.csv", "config.yaml", "curves.png", "history.csv", "model.npz"]
    assert [(trained / "twin" / f).read_bytes() == (trained / "first" / f).read_bytes() for f in files] == [True] * 5


def test_the_run_has_a_point_per_epoch_and_the_outputs(trained: Path) -> None:
    record = json.loads((trained / "first.run.json").read_text())
    of_run = f"where run_uuid = '{record['run_id']}'"
    tags = dict(tracked(trained, f"select key, value from tags {of_run}"))
    assert {"numpy", "blas", "host"} < record["made_with"].keys()
    assert {"mlflow.user", "run_key", "weights_hash"} < tags.keys()
    assert (tags["mlflow.source.name"], tags["mlflow.source.type"]) == ("pipeline.train", "LOCAL")
    assert "validation 9" in tags["mlflow.note.content"] or "validation 8" in tags["mlflow.note.content"]
    assert "python -m pipeline.verify model_dir=first" in tags["mlflow.note.content"]
    read_by_a_person = [name for name in tags if not name.startswith("mlflow.")]
    assert len(read_by_a_person) <= 12
    assert tracked(trained, f"select status, name from runs {of_run}") == [("FINISHED", "relu 16 lr=0.1")]
    points = tracked(trained, f"select step from metrics {of_run} and key = 'validation/accuracy' order by step")
    assert points == [(1,), (2,), (3,)]
    params = dict(tracked(trained, f"select key, value from params {of_run}"))
    assert params["hidden_sizes"] == "[16]"
    assert params["n_parameters"] == str(64 * 16 + 16 + 16 * 10 + 10)
    assert params["n_epochs"] == "3"
    assert len(params) <= 13
    stored = {path.name for path in (trained / "mlruns/digits" / record["run_id"] / "artifacts").iterdir()}
    assert stored == {"batches.csv", "config.yaml", "curves.png", "history.csv", "model.npz", "run.json"}
    artifact = trained / "mlruns/digits" / record["run_id"] / "artifacts/run.json"
    assert json.loads(artifact.read_text()) == record
    assert {"data_digest", "settings_digest", "cpu"} < record["made_with"].keys()


INPUTS = """
    select input_tags.value, datasets.dataset_profile, datasets.digest from inputs
    join input_tags using (input_uuid) join datasets on dataset_uuid = source_id where destination_id = '%s'
"""


def test_each_split_is_an_input_with_its_own_rows_and_digest(tmp_path: Path) -> None:
    rows, digests = {}, {}
    for name, words in {"usual": (), "all": ("data.n_validation=0", "monitor=none")}.items():
        assert door(tmp_path, "train", *TINY, *words, f"output_dir={name}").returncode == 0
        run_id = json.loads((tmp_path / f"{name}.run.json").read_text())["run_id"]
        found = tracked(tmp_path, INPUTS % run_id)
        rows[name] = {split: json.loads(profile)["num_rows"] for split, profile, _ in found}
        digests[name] = {split: digest for split, _, digest in found}
    assert rows == {"usual": {"train": 1137, "validation": 300}, "all": {"train": 1437}}
    assert len({*digests["usual"].values(), *digests["all"].values()}) == 3


def test_nothing_but_our_own_words_on_the_happy_path(trained: Path) -> None:
    done = door(trained, "train", *TINY)
    assert done.stderr == ""
    assert done.stdout.startswith("relu 16 lr=0.1: train ")


def test_a_training_at_chance_gets_a_hint_after_three_epochs(trained: Path) -> None:
    words = ("data=digits", "activation=sigmoid")
    assert door(trained, "train", *words, "n_epochs=2").stderr == ""
    (line,) = door(trained, "train", *words, "n_epochs=5").stderr.splitlines()
    assert line.startswith("hint: validation accuracy is ")
    assert line.endswith(
        "after 3 epochs, no better than chance. Try activation=relu or tanh, another learning_rate than 0.01, "
        "or another initializer than glorot_uniform."
    )


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param((), id="basic"),
        pytest.param(("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"), id="joblib"),
    ],
)
def test_a_failed_job_stops_no_other_and_the_exit_code_tells(tmp_path: Path, launcher: tuple[str, ...]) -> None:
    done = door(
        tmp_path, "train", TINY[0], *TINY[2:4], "-m", "learning_rate=0.1,1e30,0.2", "activation=sigmoid", *launcher
    )
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
    assert "1 of 3 jobs failed" in done.stderr
    statuses = tracked(tmp_path, "select name, status from runs where name like 'sigmoid%' order by name")
    assert statuses == [
        ("sigmoid 16 lr=0.1", "FINISHED"), ("sigmoid 16 lr=0.2", "FINISHED"), ("sigmoid 16 lr=1e+30", "FAILED"),
    ]  # fmt: skip
    assert tracked(tmp_path, "select status from runs where name like 'sweep%'") == [("FAILED",)]
    assert done.stdout.count("#/experiments/1/runs?workflowType=machine_learning") == 1
    of_parent = "join runs using (run_uuid) where runs.name like 'sweep learning_rate=0.1,1e30,0.2'"
    figures = dict(tracked(tmp_path, f"select key, value from latest_metrics {of_parent}"))
    assert (figures["ended/done"], figures["ended/failed"]) == (2, 1)
    assert tracked(tmp_path, f"select key, params.value from params {of_parent}") == [
        ("sweep.learning_rate", "0.1,1e30,0.2")
    ]
    ((note,),) = tracked(tmp_path, f"select tags.value from tags {of_parent} and key = 'mlflow.note.content'")
    assert "python -m pipeline.train -m " in note
    assert "1 failed" in note
    assert "diverged" in note
    assert tracked(tmp_path, PARENT) == [(3,)]
    assert [word in done.stdout for word in ("learning_rate", "0.1", "1e+30", "done", "the loss is")] == [True] * 5


def test_lists_of_widths_are_two_children(tmp_path: Path) -> None:
    done = door(tmp_path, "train", *TINY, "-m", "hidden_sizes=[64],[128,64]")
    assert done.returncode == 0, done.stderr
    names = tracked(tmp_path, "select name from runs where name not like 'sweep%' order by name")
    assert names == [("relu 128-64 lr=0.1",), ("relu 64 lr=0.1",)]
    assert tracked(tmp_path, "select distinct status from runs") == [("FINISHED",)]


def test_a_sweep_takes_an_equal_training_and_says_so(trained: Path) -> None:
    first = json.loads((trained / "first.run.json").read_text())["run_id"]
    done = door(trained, "train", *TINY[:4], "-m", "learning_rate=0.1,0.3")
    assert done.returncode == 0, done.stderr
    assert "taken from the equal run" in done.stdout
    (sweep,) = [path for path in (trained / "multirun").glob("*/*") if path.is_dir()]
    assert (sweep / "0/model.npz").read_bytes() == (trained / "first/model.npz").read_bytes()
    of_child = json.loads((sweep / "0.run.json").read_text())
    assert of_child["reused_from"] != of_child["run_id"]
    points = "select step, value from metrics where run_uuid = '{}' and key = 'validation/loss' order by step"
    assert tracked(trained, points.format(of_child["run_id"])) == tracked(trained, points.format(first))
    assert "reused_from" not in json.loads((sweep / "1.run.json").read_text())


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["lambda=0.1"], ["lambda", "l2_lambda"]),
        (["learning_rate=-1", "optimizer=adm", "seed=x"], ["learning_rate: -1", "'adm'", "adam", "seed: 'x'"]),
        (["+foo=1"], ["+foo=1"]),
        (["activation=sigmoid,tanh"], ["Add -m"]),
        (["-m", "activation=sigmoid,rleu"], ["'rleu'", "relu"]),
        (["-m", "output_dir=x", "seed=1,2"], ["output_dir", "2 jobs"]),
        (["hydra/sweeper=optuna"], ["pipeline.search"]),
        (["hydra.job_logging.handlers.x.class=os.system"], ["may not name code"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_bad_command_line_changes_nothing(tmp_path: Path, words: list[str], named: list[str]) -> None:
    done = door(tmp_path, "train", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert [name for name in named if name not in done.stderr] == []
    assert tree(tmp_path) == set()

"""The door ``compare``: a sweep and single runs, on the terminal and in files; what cannot be compared."""

import csv
from pathlib import Path

import pytest

from tests.pipeline.doors import TINY, door, tracked, tree

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    words = ("activation=relu,tanh", "seed=1,2", "hydra.sweep.dir=jobs")
    done = door(folder, "train", "-m", "data=digits", *TINY[2:], *words)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_sweep_is_compared_over_what_varied(swept: Path) -> None:
    done = door(swept, "compare", "sweep=jobs", "output_dir=compared")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "compared  comparison.csv comparison.html comparison.png"
    assert "4 runs on digits in 2 rows, the best first" in done.stdout
    rows = list(csv.DictReader((swept / "compared/comparison.csv").read_text().splitlines()))
    assert {row["activation"]: row["n_runs"] for row in rows} == {"relu": "2", "tanh": "2"}
    assert "learning_rate" not in rows[0]
    assert tree(swept / "compared") == {"comparison.csv", "comparison.html", "comparison.png"}
    page = (swept / "compared/comparison.html").read_text()
    assert "python -m pipeline.compare sweep=jobs output_dir=compared" in page
    stored = dict(tracked(swept, "select run_uuid, value from latest_metrics where key = 'validation/accuracy'"))
    for row in rows:
        mean = sum(stored[run_id] for run_id in row["run_ids"].split()) / 2
        assert float(row["validation/accuracy"]) == pytest.approx(mean)


def test_runs_are_compared_by_their_ids(swept: Path) -> None:
    ids = [run_id for (run_id,) in tracked(swept, "select run_uuid from params where key = 'seed' and value = '1'")]
    done = door(swept, "compare", f"run_ids=[{','.join(ids)}]", "metric=validation/loss", "output_dir=by ids")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((swept / "by ids/comparison.csv").read_text().splitlines()))
    assert [row["run_ids"] for row in sorted(rows, key=lambda row: float(row["validation/loss"]))] == [
        row["run_ids"] for row in rows
    ]
    assert sorted(row["run_ids"] for row in rows) == sorted(ids)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "error: sweep: not given, and run_ids is empty; expected at least one of them"),
        (("sweep=job",), 2, "error: sweep: 'job' is not in sqlite:///"),
        (("run_ids=[abc]",), 2, "error: run_ids: ['abc'] does not fit"),
        (
            ("sweep=jobs", "tracking.uri=http://127.0.0.1:9"),
            4,
            "error: tracking.uri: http://127.0.0.1:9: Connection refused",
        ),
        (("sweep=jobs", "tracking.uri=sqlite:///no.db"), 4, "error: tracking.uri: sqlite:///no.db is not there"),
    ],
    ids=["nothing named", "unknown sweep", "no id", "no server", "no store"],
)
def test_a_fault_is_one_line_and_makes_no_file(swept: Path, words: tuple[str, ...], code: int, message: str) -> None:
    done = door(swept, "compare", *words, "output_dir=nothing")
    assert (done.returncode, message in done.stderr, done.stderr.count("\n")) == (code, True, 1), done.stderr
    assert not (swept / "nothing").exists()

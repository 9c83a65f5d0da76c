"""The door ``report``: made again only if it would show something else."""

import re
from pathlib import Path

import pytest

from pipeline.report import UI, pages_address
from tests.pipeline.doors import TINY, door

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for words in (
        ("train", *TINY, "output_dir=artifacts/digits/train/relu"),
        ("evaluate", "model_dir=artifacts/digits/train/relu", "output_dir=artifacts/digits/evaluate/relu"),
        ("report", "data=digits"),
    ):
        done = door(folder, *words)
        assert done.returncode == 0, done.stderr
    return folder


def test_a_report_that_shows_the_same_is_left_as_it_is(made: Path) -> None:
    page = made / "artifacts/digits/report/index.html"
    before = page.stat().st_mtime_ns
    done = door(made, "report", "data=digits")
    assert (done.returncode, done.stdout) == (0, "artifacts/digits/report/index.html (unchanged)\n")
    assert page.stat().st_mtime_ns == before


def test_a_report_on_other_results_is_made_again(made: Path) -> None:
    page, history = made / "artifacts/digits/report/index.html", made / "artifacts/digits/train/relu/history.csv"
    rows = history.read_text().splitlines()
    history.write_text("\n".join([*rows, rows[-1]]) + "\n")
    before = page.stat().st_mtime_ns
    assert door(made, "report", "data=digits").stdout == "artifacts/digits/report/index.html\n"
    assert page.stat().st_mtime_ns > before


def test_a_report_says_when_it_was_made_and_links_its_run(made: Path) -> None:
    text = (made / "artifacts/digits/report/index.html").read_text()
    assert re.search(r"Page made 20\d\d-\d\d-\d\d \d\d:\d\d UTC", text)
    assert re.search(rf'href="{UI}/#/runs/[0-9a-f]{{32}}"', text)


@pytest.mark.parametrize(
    ("store", "address"),
    [("", UI), ("sqlite:///mlflow.db", UI), ("https://mlflow.example.org/", "https://mlflow.example.org"),
     ("http://me:secret@host:5000", ""), ("http://host/?password=secret", "")],
)  # fmt: skip
def test_runs_are_linked_to_the_store_unless_its_address_holds_a_password(store: str, address: str) -> None:
    assert pages_address(store) == address

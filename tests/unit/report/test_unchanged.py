import sys
from pathlib import Path

import pytest

from mlpsweep.report.unchanged import digest_of, remember, unchanged


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    for name in ("train/relu/history.csv", "search.times.csv", "report/index.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture
def page(artifacts: Path) -> Path:
    return artifacts / "report/index.html"


def test_a_page_of_the_same_files_is_unchanged(artifacts, page):
    digest = digest_of(artifacts, "ui")
    assert unchanged(page, digest) is None
    made = remember(page, digest, "mnist")
    assert unchanged(page, digest_of(artifacts, "ui")) == made
    assert made.stands_in_for == "mnist"


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "train/relu/history.csv").write_text("other"),
        lambda folder: (folder / "search.times.csv").unlink(),
        lambda folder: (folder / "train/tanh.run.json").write_text("new"),
        lambda folder: (folder / "report/index.html").write_text("edited"),
        lambda folder: (folder / "report/index.html").unlink(),
        lambda folder: (folder / "report/index.json").write_text("{"),
        lambda folder: (folder / "report/index.json").write_text('{"other": 1}'),
    ],
    ids=["file", "missing file", "new file", "edited page", "no page", "damaged record", "foreign record"],
)
def test_what_changed_is_made_again(artifacts, page, change):
    remember(page, digest_of(artifacts), None)
    change(artifacts)
    assert unchanged(page, digest_of(artifacts)) is None


def test_other_words_are_another_page(artifacts):
    assert digest_of(artifacts, "one") != digest_of(artifacts, "two")


def test_other_code_is_another_page(artifacts, monkeypatch, tmp_path_factory):
    package = tmp_path_factory.mktemp("package")
    monkeypatch.setattr(sys.modules["mlpsweep"], "__file__", str(package / "__init__.py"))
    (package / "page.css").write_text("a {}")
    before = digest_of(artifacts)
    (package / "page.css").write_text("b {}")
    assert digest_of(artifacts) != before

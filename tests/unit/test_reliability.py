"""Each test that docs/reliability.md names exists, where it is said to be; each promise has one or says it has none."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text()
NAMED = sorted(set(re.findall(r"`(?:(tests/[\w/.]+\.py)::)?(test_\w+)", PAGE)))
FILES = {file.relative_to(ROOT).as_posix(): file.read_text() for file in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize(("file", "test"), NAMED, ids=[test for _, test in NAMED])
def test_a_named_test_exists(file: str, test: str) -> None:
    homes = {name for name, text in FILES.items() if re.search(rf"^def {test}\(", text, re.MULTILINE)}
    assert homes
    assert not file or file in homes


def test_every_row_names_a_test_or_says_where_it_is_told() -> None:
    rows = re.findall(r"^\| promise \| test \| figure \|\n\|---\|---\|---\|\n((?:\|.*\n?)+)", PAGE, re.MULTILINE)
    told = ("`test_", "`tests/", "`...[", "see ", "none: open")
    assert [row for table in rows for row in table.splitlines() if not row.split(" | ")[1].startswith(told)] == []

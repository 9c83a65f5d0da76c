"""The drawing of changes to the library, and what becomes of one that no test notices."""

import ast
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutations import code
from tests.mutations.code import (
    AREAS,
    KINDS,
    MARKS,
    PACKAGE,
    ROOT,
    Area,
    Mutant,
    changes,
    copied,
    drawn,
    judged,
    mutants,
)

SOURCES = {
    "comparison": ("a < b == c", {"(a <= b == c)", "(a < b != c)"}),
    "operator": ("x = a + b * c", {"x = (a - b * c)", "x = a + (b / c)"}),
    "integer": ("a[-1]", {"a[-(2)]", "a[-(0)]"}),
    "arguments": ("f(a, b, c=d); max(a, b)", {"(f(b, a, c=d)); max(a, b)", "f(a, b, c=d); (min(a, b))"}),
    "negation": ("a = not b", {"a = (b)"}),
    "statement": ("f()\na.b = c\nd = e", {"pass\na.b = c\nd = e", "f()\npass\nd = e"}),
}  # fmt: skip


def test_every_kind_of_change_is_shown_here() -> None:
    assert SOURCES.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", SOURCES)
def test_a_kind_of_change_makes_these_and_no_others(kind: str) -> None:
    source, expected = SOURCES[kind]
    assert {change.made(source) for change in changes(source) if change.kind == kind} == expected


UNTOUCHED = ("'Of 2 lines.'", "a: tuple[int, 3]", "def f(a: X | Y) -> X | Y: ...", "f'{a + 1}'", "a = True", "f(a, a)")


@pytest.mark.parametrize("source", UNTOUCHED)
def test_what_changes_nothing_or_cannot_be_placed_is_left_alone(source: str) -> None:
    assert [change for change in changes(source) if change.kind != "statement"] == []


def test_a_change_after_letters_of_several_bytes_is_in_its_place() -> None:
    (change,) = (one for one in changes("é = 'ü'; a = not b") if one.kind == "negation")
    assert (change.made("é = 'ü'; a = not b"), change.line, change.before) == ("é = 'ü'; a = (b)", 1, "not b")


@pytest.mark.parametrize("area", AREAS)
def test_an_area_has_modules_tests_and_changes_that_parse(area: str) -> None:
    assert all(list((ROOT / PACKAGE).glob(pattern)) for pattern in AREAS[area].modules)
    assert all((ROOT / test).exists() for test in AREAS[area].tests)
    every = list(mutants(area))
    for mutant in random.Random(area).sample(every, 20):
        source = (ROOT / mutant.file).read_text()
        assert ast.dump(ast.parse(mutant.change.made(source))) != ast.dump(ast.parse(source))


def test_a_seed_draws_the_same_and_another_others_from_every_area_and_none_twice() -> None:
    first, again, other = (list(drawn(100, seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == 100
    assert {mutant.area for mutant in first[: len(AREAS)]} == AREAS.keys()
    assert {mutant.change.kind for mutant in first} == KINDS.keys()


def test_what_is_run_is_what_make_test_runs() -> None:
    assert f"-m '{MARKS}'" in (ROOT / "Makefile").read_text()


SUMS = """
def plus(a, b):
    return a + b

def wait():
    while not True:
        pass
"""
TEST = """
from mlpsweep.sums import *

def test_it():
    assert {} == {}
    wait()
"""
FILES = {
    f"{PACKAGE}/__init__.py": "",
    f"{PACKAGE}/sums.py": SUMS,
    "tests/test_strict.py": TEST.format("plus(2, 1)", 3),
    "tests/test_blind.py": TEST.format("plus(2, 0)", 2),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with one module, ``a + b``, and two tests of it, of which the second notices nothing."""
    root = tmp_path / "project"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(code, "AREAS", {"sums": Area(("sums.py",), ("tests",))})
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "test", "outcome", "first"),
    [
        ("operator", "tests/test_strict.py", "noticed", "FAILED tests/test_strict.py::test_it"),
        ("operator", "tests/test_blind.py", "SURVIVED", ""),
        ("negation", "tests/test_strict.py", "hung", ""),
    ],
)
def test_a_change_is_noticed_survives_or_hangs_and_is_taken_back(
    project: Path, kind: str, test: str, outcome: str, first: str
) -> None:
    before = (project / f"{PACKAGE}/sums.py").read_text()
    (mutant,) = (one for one in mutants("sums", project) if one.change.kind == kind)
    ended = judged(project, mutant, (test,), 5.0 if outcome == "hung" else 60.0)
    assert (ended.outcome, ended.first) == (outcome, first)
    assert (project / mutant.file).read_text() == before


def test_no_process_outlives_the_tests_that_started_it(project: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=project, start_new_session=True)
    code.end_all(project.parent)
    assert child.wait(10) == -signal.SIGKILL


def test_a_copy_has_what_git_knows_and_what_it_would_add(tmp_path: Path) -> None:
    copy = copied(ROOT, tmp_path / "copy")
    mutant = next(mutants("choice"))
    assert isinstance(mutant, Mutant)
    assert (copy / mutant.file).read_bytes() == (ROOT / mutant.file).read_bytes()
    assert (copy / "tests/mutations/test_code.py").exists()
    assert not (copy / ".git").exists()
    assert not (copy / ".venv").exists()

"""Every distribution that is imported is declared, explained and pinned, and nothing else is."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OWN = {"mlpsweep", "pipeline", "benchmarks", "tests"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What is not imported but run, or found by the package that it extends.
RUN = {"dvc", "hydra-joblib-launcher"}
DISTRIBUTIONS = importlib.metadata.packages_distributions()


def canonical(requirement: str) -> str:
    """Return the name of a requirement in the one spelling that compares."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~;\[ ]", requirement)[0]).lower()


def imported(*folders: str) -> set[str]:
    """Return the modules outside the standard library and this project that the files of some folders import."""
    nodes = [
        node
        for folder in folders
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
    ]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - OWN - {"_typeshed"}


def homes(module: str) -> set[str]:
    """Return the distributions that bring a module; its own name if it is not installed."""
    return {canonical(name) for name in DISTRIBUTIONS.get(module, [module])}


DECLARED = {canonical(requirement) for requirement in PROJECT["dependencies"]}
EXTRAS = {canonical(requirement) for extra in PROJECT["optional-dependencies"].values() for requirement in extra}


def test_what_the_library_and_the_doors_import_is_declared() -> None:
    assert {module for module in imported("src", "pipeline") if not homes(module) & DECLARED} == set()


def test_what_tests_and_benchmarks_import_is_declared() -> None:
    modules = imported("tests", "benchmarks")
    assert {module for module in modules if not homes(module) & (DECLARED | EXTRAS)} == set()


def test_what_is_declared_is_used() -> None:
    used = set().union(*map(homes, imported("src", "pipeline")))
    assert DECLARED - used == RUN


def test_the_readme_says_why() -> None:
    table = (ROOT / "README.md").read_text().partition("## Dependencies")[2]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", table, re.MULTILINE)[1:]
    assert {canonical(name) for row in rows for name in row.split(", ")} == DECLARED


def test_the_tested_versions_are_pinned() -> None:
    pinned = {canonical(line) for line in (ROOT / "constraints.txt").read_text().split()}
    assert DECLARED - pinned == set()

"""The direction of imports, names that stay at home, and that importing does nothing heavy."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "mlpsweep"
# A module may import from its own layer and from the layers above it in this list.
LAYERS = (
    {"types", "errors", "rules"},
    {"schema", "datasets", "settings", "files", "passwords", "metric", "sqlite", "tables", "config"},
    {"data", "nn"},
    {"training"},
    {"evaluation", "tracking", "search"},
    {"figures"},
    {"report", "upkeep", "estimator", "array_search"},
)
# Parts of one layer that stand side by side: none imports another.
APART = {"evaluation", "tracking", "search"}
# Third-party packages, each at home in some parts only.
HOMES = {
    "mlflow": {"tracking"},
    "optuna": {"search"},
    "omegaconf": {"config"},
    "yaml": {"config"},
    "matplotlib": {"figures"},
    "jinja2": {"report"},
    "hydra": set(),
}
MODULES = sorted(module for module in SRC.rglob("*.py") if module != SRC / "__init__.py")  # test_api.py has that one


PIPELINE = sorted((ROOT / "pipeline").glob("*.py"))
DOORS = [file.stem for file in PIPELINE if "\nDOOR = Door(" in file.read_text()]
# Names of files, each known to the module of its folder only.
FILES = {
    "src/mlpsweep/training/folder.py": {"model.npz", "history.csv", "batches.csv", "config.yaml", "curves.png"},
    "src/mlpsweep/evaluation/folder.py": {"metrics.json", "predictions.csv"},
    "src/mlpsweep/search/folder.py": {"summary.json", "trials.csv", "times.csv", "recipe/winner.yaml"},
}
# Packages that are internal without an underscore before their name.
INTERNAL = ("mlflow.utils", "mlflow.store", "mlflow.server", "mlflow.protos")


def part(module: Path) -> str:
    return module.relative_to(SRC).parts[0].removesuffix(".py")


def imported(module: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def level(name: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if name in layer)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(SRC)))
def test_imports_point_to_lower_layers_only(module: Path) -> None:
    own = {name.split(".")[1] for name in imported(module) if name.startswith("mlpsweep.")}
    assert {name for name in own if level(name) > level(part(module))} == set()
    assert part(module) not in APART or own & APART <= {part(module)}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(SRC)))
def test_third_parties_stay_at_home(module: Path) -> None:
    tops = {name.split(".")[0] for name in imported(module)}
    assert {top for top in tops & set(HOMES) if part(module) not in HOMES[top]} == set()


def test_one_module_subclasses_scikit_learns() -> None:
    assert {part(module) for module in MODULES if "sklearn.base" in imported(module)} == {"estimator"}


@pytest.mark.parametrize("module", [m for m in MODULES if part(m) in {"nn", "training"}], ids=lambda m: m.stem)
def test_numerics_import_numpy_and_scipy_only(module: Path) -> None:
    tops = {name.split(".")[0] for name in imported(module)}
    assert tops <= {*sys.stdlib_module_names, "numpy", "scipy", "threadpoolctl", "mlpsweep"}


def test_there_are_no_cycles() -> None:
    graph = {".".join(["mlpsweep", *m.relative_to(SRC).with_suffix("").parts]): imported(m) for m in MODULES}
    graph = {name: {other for other in names if other in graph and other != name} for name, names in graph.items()}
    while leaves := {name for name, names in graph.items() if not names & graph.keys()}:
        graph = {name: names for name, names in graph.items() if name not in leaves}
    assert graph == {}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def private_names(module: Path) -> set[str]:
    """Return the names of other packages that a module uses though they are not meant for it."""
    tree, found, own = ast.parse(module.read_text()), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.attr)
    for name in imported(module):
        parts = name.split(".")
        if parts[0] not in ("mlpsweep", "pipeline", "__future__"):
            numbers = [number for number, part in enumerate(parts, start=1) if is_private(part)]
            found |= {".".join(parts[: numbers[0]])} if numbers else set()
            found |= {name for top in INTERNAL if f"{name}.".startswith(f"{top}.")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            found.add(f".{node.attr}")
    return found


@pytest.mark.parametrize("module", [*MODULES, *PIPELINE], ids=lambda m: str(m.relative_to(ROOT)))
def test_no_private_name_of_another_package_is_used(module: Path) -> None:
    assert private_names(module) == set()


@pytest.mark.parametrize("module", [*MODULES, *PIPELINE], ids=lambda m: str(m.relative_to(ROOT)))
def test_the_files_of_a_folder_are_named_in_its_module_only(module: Path) -> None:
    texts = {node.value for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Constant)}
    own = FILES.get(str(module.relative_to(ROOT)), set())
    assert own <= texts
    assert texts & set().union(*FILES.values()) - own == set()


def test_the_doors_are_found() -> None:
    assert {
        "download",
        "prepare",
        "train",
        "evaluate",
        "search",
        "report",
        "verify",
        "compare",
        "recipes",
        "doctor",
    } == {*DOORS}


@pytest.mark.parametrize("door", DOORS)
def test_no_door_imports_a_door(door: str) -> None:
    file = ROOT / "pipeline" / f"{door}.py"
    names = {name.split(".")[1] for name in imported(file) if name.startswith("pipeline.")}
    assert names & {*DOORS} == set()
    # An import by name would go unseen.
    assert not re.search(r"\b(importlib|__import__|runpy)\b", file.read_text())


@pytest.mark.parametrize("door", DOORS)
def test_a_door_is_named_after_its_module(door: str) -> None:
    declared = importlib.import_module(f"pipeline.{door}").DOOR
    assert declared.module == f"pipeline.{door}"
    assert (ROOT / "conf" / f"{declared.config}.yaml").is_file()


@pytest.mark.parametrize("door", DOORS)
def test_importing_a_door_imports_nothing_heavy(door: str) -> None:
    heavy = "numpy scipy hydra omegaconf mlflow optuna matplotlib sklearn rich"
    code = f"import sys, pipeline.{door}; sys.exit(' '.join(set({heavy.split()!r}) & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

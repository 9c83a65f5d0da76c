"""The direction of imports, and that importing does nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "mlpsweep"
# A module may import from its own layer and from the layers above it in this list.
LAYERS = (
    {"types", "errors", "rules"},
    {"settings", "files", "metric", "tables", "config"},
    {"data", "nn"},
    {"training"},
    {"evaluation", "tracking", "search"},
    {"figures"},
    {"report"},
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


@pytest.mark.parametrize("door", ["train", "search", "download", "prepare", "evaluate", "report", "compare"])
def test_importing_a_door_imports_nothing_heavy(door: str) -> None:
    heavy = "numpy scipy hydra omegaconf mlflow optuna matplotlib sklearn rich"
    code = f"import sys, pipeline.{door}; sys.exit(' '.join(set({heavy.split()!r}) & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

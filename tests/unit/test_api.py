"""The public names: exactly these, loaded when they are used; and what travels with the package."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mlpsweep

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "mlpsweep"
NAMES = [
    "TrainSettings", "DataSettings", "SearchSettings", "open_dataset", "run_training", "evaluate_model", "run_search",
    "MLPClassifier", "search_arrays", "Model", "History", "MlpsweepError",
]  # fmt: skip
SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_these_are_the_public_names() -> None:
    assert mlpsweep.__all__ == NAMES
    assert set(NAMES) <= set(dir(mlpsweep))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_what_it_says(name: str) -> None:
    found = getattr(mlpsweep, name)
    assert found.__name__ == name
    assert found.__module__.startswith("mlpsweep.")
    assert found.__doc__


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'mlpsweep' has no attribute 'train'"):
        mlpsweep.train  # noqa: B018


def test_no_name_hides_a_part_of_the_package() -> None:
    parts = {path.stem for path in SRC.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert {name.lower() for name in NAMES} & parts == set()


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a statement loads into a new interpreter."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    environment = {**os.environ, "PYTHONPATH": str(SRC.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_else() -> None:
    loaded = loaded_by("import mlpsweep")
    assert {name.split(".")[0] for name in loaded} <= {"mlpsweep", *sys.stdlib_module_names}
    assert {name for name in loaded if name.startswith("mlpsweep")} == {"mlpsweep"}


def test_settings_load_no_numpy() -> None:
    loaded = loaded_by("from mlpsweep import TrainSettings, SearchSettings")
    assert "mlpsweep.search.settings" in loaded
    assert "numpy" not in loaded


def test_the_types_are_told() -> None:
    assert (SRC / "py.typed").is_file()
    assert "py.typed" in SETUP["tool"]["setuptools"]["package-data"]["mlpsweep"]


def test_the_version_stands_in_one_place() -> None:
    assert "version" not in SETUP["project"]
    assert SETUP["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "mlpsweep.__version__"}


def test_every_package_is_in_the_wheel() -> None:
    own = {".".join(file.parent.relative_to(SRC.parent).parts) for file in SRC.rglob("*.py")}
    assert set(SETUP["tool"]["setuptools"]["packages"]) == own | {"mlpsweep.conf.data"}

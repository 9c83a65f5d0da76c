"""The installed wheel in an empty folder without a network: the README's lines, the data sets, the version."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

import mlpsweep
from mlpsweep.files import read_json
from tests.pipeline.doors import ROOT

pytestmark = pytest.mark.slow
BUILD = "from setuptools import build_meta; build_meta.build_wheel('dist')"
NO_NETWORK = """
import socket

def refuse(*arguments):
    raise OSError("there is no network here")

socket.socket.connect = refuse
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout, built in a copy of it."""
    copy = tmp_path_factory.mktemp("wheel")
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the wheel, the other packages of this environment, and no network."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    (packages / "sitecustomize.py").write_text(NO_NETWORK)
    return folder / "bin" / "python"


def run(python: Path, code: str, folder: Path) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW"))}
    done = subprocess.run(
        [python, "-W", "error", "-c", code], cwd=folder, env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readmes_lines_run_as_printed(python: Path, tmp_path: Path) -> None:
    found = re.search(
        "<!-- python -->\n```python\n(.*?)```\n<!-- /python -->", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert found is not None
    said = re.fullmatch(r"(\d+\.\d\d) % of 360 test images are right\n", run(python, found[1], tmp_path))
    assert said is not None
    assert float(said[1]) > 93
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"curves.png", "data"}


def notebook() -> list[dict[str, Any]]:
    cells = read_json(ROOT / "docs" / "notebook.ipynb")["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_the_notebooks_lines_run(python: Path, tmp_path: Path) -> None:
    lines = "".join("".join(cell["source"]) + "\n" for cell in notebook())
    said = run(
        python, lines.replace("%matplotlib inline\n", "").replace("n_trials=12", "n_trials=3"), tmp_path
    ).splitlines()
    assert re.fullmatch(r"validation accuracy (0\.9\d{3}); trained again: \1", said[-1])


def test_the_notebook_was_run_in_order_and_names_no_machine() -> None:
    cells = notebook()
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "execute_result"}
    assert [output["name"] for output in outputs if output["output_type"] == "stream"] == ["stdout"] * 4
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 3
    assert not re.search(r'"/\w+/|site-packages', (ROOT / "docs" / "notebook.ipynb").read_text())


def test_it_is_the_wheel_that_runs(python: Path, tmp_path: Path) -> None:
    code = "import mlpsweep; print(mlpsweep.__file__, mlpsweep.__version__)"
    assert run(python, code, tmp_path).split() == [
        str(next(python.parents[1].glob("lib/python*/site-packages")) / "mlpsweep" / "__init__.py"),
        mlpsweep.__version__,
    ]


def test_it_knows_its_data_sets(python: Path, tmp_path: Path) -> None:
    names = sorted(file.stem for file in (ROOT / "conf/data").glob("*.yaml"))
    code = f"from mlpsweep import DataSettings; print([DataSettings.named(name).name for name in {names}])"
    assert run(python, code, tmp_path).strip() == str(names)


def test_it_holds_the_library_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"mlpsweep", f"mlpsweep-{mlpsweep.__version__}.dist-info"}
    assert {"mlpsweep/py.typed", "mlpsweep/report/templates/page.html.j2"} <= set(names)

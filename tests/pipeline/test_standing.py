"""Commands typed elsewhere than in the project's folder, or without its environment."""

import importlib
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from mlpsweep import __version__
from pipeline.__main__ import DOORS
from pipeline.compose import plan
from pipeline.door import Door
from pipeline.flags import parse
from pipeline.standing import PACKAGES
from tests.pipeline.doors import PATHS, ROOT, TINY, door, own_environment, tracked, tree
from tests.pipeline.terminals import in_terminal, plain_lines
from tests.unit.test_dependencies import imported

NO_ENVIRONMENT = "expected the project's own environment. Run `make setup`, then `source .venv/bin/activate`\n"


def python(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    environment = own_environment() | PATHS
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is known as a project, with a sub-folder in which a training was started."""
    root = tmp_path_factory.mktemp("a project")
    for mark in ("dvc.yaml", "conf/train.yaml"):
        (root / mark).parent.mkdir(exist_ok=True)
        (root / mark).touch()
    (root / "notes/deep").mkdir(parents=True)
    done = door(root / "notes/deep", "train", *TINY, "output_dir=mine model")
    assert (done.returncode, done.stdout.splitlines()[1].partition("  ")[0]) == (0, "mine model"), done.stderr
    assert {path.name for path in root.iterdir()} == {"conf", "data", "dvc.yaml", "mlflow.db", "mlruns", "notes"}
    return root


@pytest.mark.slow
def test_in_a_sub_folder_stores_are_the_projects_and_typed_paths_the_users(project: Path) -> None:
    assert (project / "notes/deep/mine model/model.npz").is_file()
    deep = project / "notes/deep"
    for words, said in (
        (("evaluate", "model_dir=../deep/mine model"), "mine model.evaluation  MLflow run"),
        (("verify", f"model_dir={deep}/mine model"), "verified: mine model: trained again"),
    ):
        done = door(deep, *words)
        assert (done.returncode, said in done.stdout) == (0, True), done.stderr
    (model,) = tracked(project, "select run_uuid from tags where key = 'verified'")
    assert model[0] in (deep / "mine model.run.json").read_text()


@pytest.mark.slow
def test_in_a_sub_folder_new_outputs_are_the_projects_and_shown_from_there(project: Path) -> None:
    deep = project / "notes/deep"
    done = door(deep, "train", *TINY, "-m", "seed=1,2")
    assert done.returncode == 0, done.stderr
    (sweep,) = [path for path in (project / "multirun").glob("*/*") if path.is_dir()]
    typed = f"../../{sweep.relative_to(project)}"
    assert (f"{typed}/0  MLflow run" in done.stdout, f"2 jobs in {typed}" in done.stdout) == (True, True)
    compared = door(deep, "compare", f"sweep={typed}", "output_dir=../compared")
    assert compared.returncode == 0, compared.stderr
    assert (project / "notes/compared/comparison.csv").is_file()


@pytest.mark.slow
def test_in_a_sub_folder_a_store_and_files_of_settings_are_found_from_there(project: Path) -> None:
    deep = project / "notes/deep"
    (deep / "my/recipe").mkdir(parents=True)
    (deep / "my/recipe/quick.yaml").write_text("# @package _global_\nn_epochs: 1\n")
    words = ("train", *TINY[:3], "--config-dir", "my", "recipe=quick", "output_dir=out")
    assert door(deep, *words, "tracking.uri=sqlite:///own.db").returncode == 0
    assert door(deep, *words, MLFLOW_TRACKING_URI="sqlite:///named.db").returncode == 0
    assert [(deep / name).is_file() for name in ("own.db", "named.db", "mlflow.db")] == [True, True, False]


@pytest.mark.slow
def test_a_folder_outside_of_the_project_is_named_in_full(project: Path, tmp_path: Path) -> None:
    done = door(project / "notes", "train", *TINY, "output_dir=../../elsewhere")
    assert (done.returncode, "lies outside the folder of the command" in done.stderr) == (2, True)
    assert not (project.parent / "elsewhere").exists()
    assert door(project / "notes", "train", *TINY, f"output_dir={tmp_path}/model").returncode == 0


@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_no_matter(project: Path) -> None:
    # Not even root can make a folder there.
    nowhere = {"HOME": "/proc/1/x", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "MPLCONFIGDIR": ""}
    done = door(project, "train", *TINY, cold=True, **nowhere)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [("--help",), ("n_epochs=1",), ("-m", "seed=1,2")])
def test_without_the_environment_a_sentence_says_what_to_run(tmp_path: Path, words: tuple[str, ...]) -> None:
    # Without its site packages an interpreter is one that nothing was installed for.
    done = python("-S", "-m", "pipeline.train", *words, folder=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines(keepends=True)
    assert line.startswith(f"error: environment: {sys.executable} has no package ")
    assert line.endswith(NO_ENVIRONMENT)
    assert tree(tmp_path) == set()


def test_an_interpreter_that_is_too_old_is_told_so() -> None:
    done = python("-c", "import sys; sys.version_info = (3, 9, 2); import pipeline.train")
    wanted = "error: environment: Python 3.9; expected 3.11 or newer. Run `make setup`, then `source .venv"
    assert (done.returncode, done.stderr[: len(wanted)]) == (2, wanted)


def test_the_packages_whose_lack_is_told_are_those_that_are_imported() -> None:
    assert imported("src", "pipeline") == PACKAGES


def doors() -> dict[str, Door]:
    modules = {
        name: importlib.import_module(f"pipeline.{name}") for _, name, _ in pkgutil.iter_modules(pipeline.__path__)
    }
    return {name: module.DOOR for name, module in modules.items() if hasattr(module, "DOOR")}


def test_the_package_lists_its_doors() -> None:
    assert set(DOORS) == doors().keys()
    done = python("-m", "pipeline")
    assert re.findall(r"^  python -m pipeline\.(\w+) +[A-Z].*\.$", done.stdout, re.MULTILINE) == list(DOORS)
    wrong = python("-m", "pipeline", "train", "n_epochs=1")
    assert (wrong.returncode, "Run python -m pipeline.train" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("module", ["pipeline", "pipeline.train", "pipeline.report"])
def test_the_version_is_that_of_the_project(module: str) -> None:
    done = python("-m", module, "--version")
    assert (done.returncode, done.stdout) == (0, f"mlpsweep {__version__}\n")


@pytest.mark.parametrize("name", DOORS)
def test_the_examples_of_a_door_are_three_and_right(name: str) -> None:
    examples = doors()[name].examples
    assert len(examples) == 3
    for example in examples:
        words, _, does = example.partition("  # ")
        assert does
        args = parse(shlex.split(words))
        assert plan(doors()[name].config, doors()[name].settings, args.overrides, multirun=args.multirun).jobs


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("name", ["train", "search"])
def test_help_fits_the_terminal(tmp_path: Path, name: str, width: int) -> None:
    code, seen = in_terminal(tmp_path, width, name, "--help")
    lines = plain_lines(seen)
    # Commands, to be copied, and addresses stay whole.
    long = [line for line in lines if len(line) > width and "python -m" not in line and "https://" not in line]
    assert (code, long) == (0, [])
    assert sum(line.startswith(f"  python -m pipeline.{name} ") for line in lines) == 3
    assert "Hydra" not in seen

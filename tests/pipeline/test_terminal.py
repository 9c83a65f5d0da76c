"""What a person sees in a terminal: tables that fit it with no cell cut, bars that count epochs."""

import re
import shlex
from pathlib import Path

import pytest

from tests.pipeline.doors import TINY, door
from tests.pipeline.terminals import in_terminal, plain_lines

pytestmark = pytest.mark.slow
README = Path(__file__).resolve().parents[2] / "README.md"
DIVERGED = "the loss is nan at epoch 1"


def sweep_of_the_readme() -> list[str]:
    """Return the words of the README's sweep over widths, with one more rate at which each training diverges."""
    (line,) = re.findall(r"^python -m pipeline\.train (-m \"hidden_sizes.*)$", README.read_text(), re.MULTILINE)
    words = shlex.split(line)
    assert "learning_rate=0.01,0.1" in words
    return [f"{word},1e30" if word.startswith("learning_rate=") else word for word in words]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which that sweep was run in a terminal of 80 columns, and what was seen."""
    folder = tmp_path_factory.mktemp("swept")
    words = ("data=digits", "activation=relu", "n_epochs=3")
    code, seen = in_terminal(folder, 80, "train", *sweep_of_the_readme(), *words)
    assert code == 5, seen
    return folder, seen


def cells(lines: list[str]) -> list[list[str]]:
    """Return the cells of a table's rows, which lie below the rule."""
    rule = next(number for number, line in enumerate(lines) if line.startswith("  ──"))
    spans = [match.span() for match in re.finditer("─+", lines[rule])]
    rows = []
    for line in lines[rule + 1 :]:
        if not line.startswith(("  ", "* ")) or line.startswith("* the best"):
            break
        rows.append([line[slice(*span)].strip() for span in spans])
    return rows


def test_the_sweep_of_the_readme_fits_80_columns_and_cuts_no_cell(swept: tuple[Path, str]) -> None:
    lines = plain_lines(swept[1])
    (start,) = [number for number, line in enumerate(lines) if line.startswith("6 jobs in multirun/")]
    table = lines[start:]
    assert max(map(len, table[:-1])) <= 80
    assert "…" not in "".join(table)
    rows = cells(table)
    assert [row[:3] for row in rows] == [
        [str(number), sizes, rate]
        for number, (sizes, rate) in enumerate(
            (sizes, rate) for sizes in ("[64]", "[128,64]") for rate in ("0.01", "0.1", "1e+30")
        )
    ]
    assert [row[-1] for row in rows] == ["done", "done", "diverged"] * 2
    accuracies = [float(row[5].removesuffix(" %")) for row in rows if row[-1] == "done"]
    (marked,) = [line for line in table if line.startswith("* ") and line != "* the best"]
    assert f"{max(accuracies):.2f} %" in marked
    assert any(line.startswith("jobs 2, 5: training: ") for line in table)
    assert " ".join(" ".join(table).split()).count(DIVERGED) == 1


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_comparison_fits_its_terminal_and_cuts_no_cell(swept: tuple[Path, str], width: int) -> None:
    folder = swept[0]
    (sweep,) = (str(path.relative_to(folder)) for path in (folder / "multirun").glob("*/*") if path.is_dir())
    code, seen = in_terminal(folder, width, "compare", f"sweep={sweep}")
    piped = door(folder, "compare", f"sweep={sweep}")
    assert code == piped.returncode == 0, seen
    lines = plain_lines(seen)
    assert max(map(len, lines[:-1])) <= width
    rows, whole = cells(lines), cells(piped.stdout.splitlines())
    assert len(rows) == 6
    assert [set(row) - set(other) for row, other in zip(rows, whole, strict=True)] == [set()] * 6
    assert {row[-1] for row in rows} == {"FINISHED", "diverged"}
    assert "Left out" not in piped.stdout


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_bar_counts_epochs_and_keeps_its_end_in_a_narrow_terminal(tmp_path: Path, width: int) -> None:
    code, seen = in_terminal(tmp_path, width, "train", *TINY[:3], "n_epochs=300", "output_dir=model")
    assert code == 0, seen
    bars = [line for line in plain_lines(seen) if "━" in line]
    assert bars
    assert max(map(len, bars)) <= width
    assert "…" not in "".join(bars)
    assert [bool(re.search(r" (\d+:\d\d:\d\d|-:--:--)$", line.rstrip())) for line in bars] == [True] * len(bars)
    assert ("epoch 300/300" in bars[-1], "relu 16" in bars[-1]) == (True, width >= 80)
    assert ("validation" in bars[-1], "samples/s" in bars[-1]) == (width >= 60, width >= 120)


def test_a_terminal_says_once_that_data_are_loaded(swept: tuple[Path, str]) -> None:
    assert [line for line in plain_lines(swept[1]) if line.startswith("loading")] == ["loading digits ..."]

import csv
from io import StringIO

import pytest

from mlpsweep.tables import MISSING, Column, Table, plain, varying

ROWS = ({"name": "a[red]b", "share": 0.98125, "n": 12345}, {"name": "c", "share": None, "n": 7})
COLUMNS = (Column("name", "name"), Column("share", "share", "percent"), Column("n", "n", "count"))


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("percent", 0.98125, "98.12 %"),
        ("points", -0.0031, "−0.31"),
        ("points range", (-0.0031, 0.002), "−0.31 … +0.20"),
        ("range", (0.5, 0.625), "50.00–62.50 %"),
        ("count", 1234567, "1\u202f234\u202f567"),
        ("number", 0.000123456, "0.0001235"),
        ("seconds", 9.94, "9.9 s"),
        ("seconds", 9.96, "10 s"),
        ("seconds", 59.4, "59 s"),
        ("seconds", 59.6, "1 min 00 s"),
        ("seconds", 125.0, "2 min 05 s"),
        ("seconds", 3725.0, "1 h 02 min"),
        ("probability", 0.00002, "< 0.0001"),
        ("probability", 0.0391, "0.0391"),
        ("text", (500, 250), "[500,250]"),
        ("text", True, "true"),
        ("number", "pruned", "pruned"),
        ("percent", None, MISSING),
    ],
)
def test_values_read_as_their_kind(kind, value, text):
    assert Column("key", "title", kind).text(value) == text


def test_terminal_shows_markup_as_text():
    text = Table("[bold]t", COLUMNS, ROWS).to_text()
    assert "a[red]b" in text
    assert "[bold]t" in text
    assert "98.12 %" in text


def test_csv_keeps_every_digit_and_leaves_missing_cells_empty():
    lines = list(csv.DictReader(StringIO(Table("t", COLUMNS, ROWS).to_csv())))
    assert lines == [{"name": "a[red]b", "share": "0.98125", "n": "12345"}, {"name": "c", "share": "", "n": "7"}]


def test_csv_lines_end_alike_on_every_system():
    assert "\r" not in Table("t", COLUMNS, ROWS).to_csv()


def test_sort_key_is_the_number_in_full_and_empty_for_text():
    table = Table("t", COLUMNS, ROWS)
    assert table.sort_key(COLUMNS[1], ROWS[0]) == "0.98125"
    assert table.sort_key(COLUMNS[1], ROWS[1]) == ""
    assert table.sort_key(COLUMNS[0], ROWS[0]) == ""


def test_varying_counts_a_missing_value_as_different():
    rows = [{"a": 1, "b": [1, 2], "c": 1}, {"a": 1, "b": [1, 2]}]
    assert varying(rows, ["a", "b", "c"]) == ("c",)


def test_varying_tells_nothing_of_a_single_row():
    assert varying([{"a": 1}], ["a"]) == ()


def test_plain_is_what_one_types():
    assert plain([0.1, "relu", False]) == "[0.1,relu,false]"


def test_markdown_aligns_numbers_and_shows_bars():
    table = Table("t", (Column("a", "a"), Column("n", "n", "percent")), ({"a": "x|y", "n": 0.5}, {"a": "z"}))
    assert table.to_markdown() == "| a | n |\n| --- | ---: |\n| x\\|y | 50.00 % |\n| z | – |\n"


WIDE = Table(
    "3 jobs in multirun/2026-01-31/12-00-00",
    (
        Column("job", "job", leaves=0),
        Column("hidden_sizes", "hidden_sizes"),
        Column("learning_rate", "learning_rate"),
        Column("loss", "validation/loss", "number", leaves=2),
        Column("accuracy", "validation/accuracy", "percent", leaves=0),
        Column("seconds", "time", "seconds", leaves=3),
        Column("ended", "ended", leaves=0),
    ),
    (
        {
            "job": 0,
            "hidden_sizes": [500, 250, 100],
            "learning_rate": 0.01,
            "loss": 0.2,
            "accuracy": 0.9,
            "seconds": 62.0,
        },
        {"job": 1, "hidden_sizes": [64], "learning_rate": 0.123456, "loss": 0.1, "accuracy": 0.95, "ended": "done"},
        {"job": 2, "hidden_sizes": [64], "learning_rate": 1e30, "ended": "diverged"},
    ),
    best=1,
)


def test_where_there_is_no_terminal_all_columns_are_shown():
    head, *_ = [line for line in WIDE.to_text().splitlines() if line.startswith("  job")]
    assert head.split() == [column.title for column in WIDE.columns]


@pytest.mark.parametrize("width", range(30, 121))
def test_columns_leave_whole_and_no_cell_is_cut(width):
    lines = WIDE.to_text(width).splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    gone = text.replace("\n", " ").partition("Left out, for want of width: ")[2]
    for column, cells in zip(WIDE.columns, zip(*WIDE.texts(), strict=True), strict=True):
        assert (column.title in gone) != all(cell in text for cell in cells)


@pytest.mark.parametrize(
    ("width", "gone"),
    [(80, ""), (70, "time."), (60, "validation/loss, time."), (45, "learning_rate, validation/loss, time.")],
)
def test_columns_leave_in_their_order(width, gone):
    assert WIDE.to_text(width).partition("Left out, for want of width: ")[2].split() == gone.split()


def test_the_best_row_is_marked_and_bold_on_a_terminal_only():
    (marked,) = [line for line in WIDE.to_text().splitlines() if line.startswith("* 1")]
    assert "95.00 %" in marked
    assert f"\033[1m{marked}\033[0m" in WIDE.to_text(is_bold=True)
    assert "\033" not in WIDE.to_text()
    assert "* the best" not in Table("t", COLUMNS, ROWS).to_text()


def test_texts_that_stay_are_folded_and_lose_nothing():
    said = "outputs/mine/model.npz holds a sentence that is longer than the terminal is wide"
    table = Table("", (Column("a", "where", leaves=0), Column("b", "what", leaves=0)), ({"a": "x" * 30, "b": said},))
    lines = [line.ljust(40) for line in table.to_text(40).splitlines()]
    assert {len(line) for line in lines} == {40}
    start = lines[0].index("what")
    assert [
        "".join("".join(line[part] for line in lines[2:]).split()) for part in (slice(start), slice(start, None))
    ] == ["x" * 30, "".join(said.split())]

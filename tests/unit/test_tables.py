import csv
from io import StringIO

import pytest
from rich.console import Console

from mlpsweep.tables import MISSING, Column, Table, plain, varying

ROWS = ({"name": "a[red]b", "share": 0.98125, "n": 12345}, {"name": "c", "share": None, "n": 7})
COLUMNS = (Column("name", "name"), Column("share", "share", "percent"), Column("n", "n", "count"))


def printed(table: Table) -> str:
    console = Console(file=StringIO(), width=100, color_system=None)
    console.print(table.to_rich())
    return console.file.getvalue()


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
    text = printed(Table("[bold]t", COLUMNS, ROWS))
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

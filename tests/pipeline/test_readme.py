"""The README's table of settings is what the settings say."""

import importlib
import re
from pathlib import Path

from pipeline.help import rows_of

README = Path(__file__).resolve().parents[2] / "README.md"
START, END = "<!-- settings -->\n", "<!-- /settings -->"


def table() -> str:
    """Return the table; `python tests/pipeline/test_readme.py` writes it into the README."""
    train, search = (rows_of(importlib.import_module(f"pipeline.{door}").DOOR) for door in ("train", "search"))
    own = {name for name, _, _ in train}
    lines = ["| key | default | meaning; range |", "|---|---|---|"]
    for name, default, text in [*train, *(row for row in search if row[0] not in own)]:
        short = "see `conf/data/`" if name in ("data.mirrors", "data.files") else f"`{default}`"
        lines.append(f"| `{name}` | {short} | {text.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_settings_is_up_to_date() -> None:
    found = re.search(f"{re.escape(START)}(.*?){re.escape(END)}", README.read_text(), re.DOTALL)
    assert found is not None
    assert found[1] == table(), "run `python tests/pipeline/test_readme.py`"


if __name__ == "__main__":
    text = README.read_text()
    before, _, rest = text.partition(START)
    README.write_text(before + START + table() + END + rest.partition(END)[2])

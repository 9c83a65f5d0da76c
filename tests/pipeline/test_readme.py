"""The tables of settings, all in docs/settings.md and the everyday ones in the README, are what the settings say."""

import dataclasses
import importlib
import re
from pathlib import Path

import pytest
import yaml

from mlpsweep.schema import Family
from mlpsweep.settings import AugmentSettings, OptimizerSettings, ScheduleSettings
from pipeline.help import rows_of

ROOT = Path(__file__).resolve().parents[2]
GROUPS: dict[str, type[Family]] = {
    "optimizer": OptimizerSettings,
    "schedule": ScheduleSettings,
    "augment": AugmentSettings,
}
EVERYDAY = (
    "activation", "hidden_sizes", "learning_rate", "l2_lambda", "batch_size", "n_epochs", "seed", "data", "output_dir",
    "search.n_trials",
)  # fmt: skip


def settings() -> dict[str, str]:
    """Return a row for each setting of train, then for each that search adds, by the setting's name."""
    train, search = (rows_of(importlib.import_module(f"pipeline.{door}").DOOR) for door in ("train", "search"))
    own = {name for name, _, _ in train}
    rows = [*train, *(row for row in search if row[0] not in own)]
    return {name: _row(name, _shown(name, default), text) for name, default, text in rows}


def group_keys() -> list[str]:
    """Return a row for each setting that a choice of optimiser, schedule or augmentation adds."""
    rows = []
    for group, family in GROUPS.items():
        for choice, member in family.members.items():
            values = yaml.safe_load((ROOT / f"conf/{group}/{choice}.yaml").read_text())
            for field in dataclasses.fields(member):
                if field.name != "name":
                    meaning, expected = field.metadata["meaning"], field.metadata["rule"].expected
                    default = str(values[field.name]).lower()
                    rows.append(
                        _row(f"{group}.{field.name}", f"`{default}`", f"{group}={choice}: {meaning}; {expected}")
                    )
    return rows


def tables() -> dict[tuple[str, str], str]:
    """Return each table by its page and its name there."""
    rows = settings()
    return {
        ("README.md", "settings"): _table([rows[name] for name in EVERYDAY]),
        ("docs/settings.md", "settings"): _table(list(rows.values())),
        ("docs/settings.md", "groups"): _table(group_keys()),
    }


def _shown(name: str, default: str) -> str:
    return "see `conf/data/`" if name in ("data.mirrors", "data.files") else f"`{default}`"


def _row(name: str, default: str, text: str) -> str:
    # Outside of code a page takes <data> for a tag, and shows nothing.
    return f"| `{name}` | {default} | {text.replace('|', '/').replace('<', '&lt;')} |"


def _table(rows: list[str]) -> str:
    return "\n".join(["| key | default | meaning; range |", "|---|---|---|", *rows]) + "\n"


def _place(name: str) -> re.Pattern[str]:
    return re.compile(f"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)


@pytest.mark.parametrize(("page", "name"), tables())
def test_a_table_of_settings_is_up_to_date(page: str, name: str) -> None:
    found = _place(name).search((ROOT / page).read_text())
    assert found is not None
    assert found[0] == tables()[page, name], "run `python -m tests.pipeline.test_readme`"


if __name__ == "__main__":
    for (page, name), table in tables().items():
        text = (ROOT / page).read_text()
        (ROOT / page).write_text(_place(name).sub(table.replace("\\", r"\\"), text))

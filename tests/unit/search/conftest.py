"""Studies open quickly here: tables are copied, Optuna reads its migrations once, and nothing waits for a disk."""

from collections.abc import Iterator
from typing import Any

import pytest
from optuna.storages import RDBStorage
from optuna.storages._rdb.storage import _VersionManager

from mlpsweep.search.kinds import KINDS
from tests import search_lab
from tests.search_kills import HASTE


@pytest.fixture(scope="session", autouse=True)
def _quick_studies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    file = tmp_path_factory.mktemp("tables") / "optuna.db"
    head: Any = RDBStorage(f"sqlite:///{file}").get_head_version()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_VersionManager, "get_head_version", lambda manager: head)
        patch.setattr(search_lab, "TABLES", file.read_bytes())
        patch.setattr("os.fsync", lambda descriptor: None)
        patch.setitem(KINDS, "sqlite", HASTE)  # type: ignore[arg-type]
        yield

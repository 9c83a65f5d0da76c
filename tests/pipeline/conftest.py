"""A pipeline that DVC has run, for the tests of what DVC does next."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.clone import Clone, commit, quick


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which everything was made and the lock committed; copied, not changed, by the tests.

    All workers of pytest-xdist share one: who comes first makes it.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, made = root / "whole clone", root / "whole clone.made"
    with (root / "whole clone.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            return Clone(folder)
        clone = quick(folder)
        clone.ok("dvc repro")
        commit(clone, "reproduced")
        made.touch()
    return clone


@pytest.fixture
def clone(whole: Clone, tmp_path: Path) -> Iterator[Clone]:
    """A copy of that clone to work in."""
    copy = whole.copied(tmp_path / "clone")
    yield copy
    if (copy.folder / ".dvc/tmp/exps").exists():
        copy.run("dvc queue stop --kill")

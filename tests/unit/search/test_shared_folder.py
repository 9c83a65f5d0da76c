"""Two hosts at one study: with a shared folder a trial goes on from its checkpoint, without one from the start."""

from pathlib import Path
from typing import Any

import pytest

from mlpsweep.search.study import Study
from mlpsweep.search.worker import work
from tests.search_lab import fake_run_key, make_plan, make_services, make_trainer, new_study, outcome, search_settings

SEARCH: dict[str, Any] = {"n_trials": 6, "pruner": "promote", "sampler": "random"}


class Killed(BaseException):
    """As SIGKILL: nothing is cleaned up."""


class Host:
    """A worker's machine; it notes how many epochs each of its trainings found done."""

    def __init__(self, root: Path, storage: Path, folder: str | None) -> None:
        self.found: list[int] = []
        self.study: Study = new_study(root, make_plan(n_epochs=8), storage=f"sqlite:///{storage}", folder=folder)

    def work(self, *, dies_going_on: bool = False) -> None:
        train = make_trainer()

        def noting(settings: Any, *, on_epoch: Any, checkpoints: Any) -> Any:
            there, _ = checkpoints.load(fake_run_key(settings))
            self.found.append(there.epoch if there else 0)
            result = train(settings, on_epoch=on_epoch, checkpoints=checkpoints)
            if dies_going_on and there:
                raise Killed
            return result

        work(self.study, search_settings(**SEARCH), make_services(noting))


@pytest.mark.parametrize(("folder", "most"), [("{}/shared", 8), ("of the host", 0)], ids=["shared", "not shared"])
def test_a_host_goes_on_with_what_it_sees(
    tmp_path: Path, folder: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlpsweep.search.claims.is_gone", lambda owner: True)  # the first host's worker
    first, second = (
        Host(tmp_path / name, tmp_path / "studies.db", folder.format(tmp_path)) for name in ("first", "second")
    )
    with pytest.raises(Killed):
        first.work(dies_going_on=True)
    second.work()
    assert max(first.found) > 0
    # Shared, the dead worker's trial has all its epochs, and the paused ones those of their rung.
    assert max(second.found) == most
    alone = Host(tmp_path / "alone", tmp_path / "alone.db", None)
    alone.work()
    assert outcome(second.study) == outcome(alone.study)

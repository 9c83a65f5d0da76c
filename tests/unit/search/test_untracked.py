"""A search from Python: what it returns, that it goes on where it stopped, and what it refuses."""

import dataclasses
import signal
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import NoResultError, SettingsError
from mlpsweep.search import run
from mlpsweep.search.settings import SearchSettings
from mlpsweep.search.untracked import run_search
from mlpsweep.settings import DataSettings, TrainSettings
from mlpsweep.training.run import run_training

SPACE = {
    "learning_rate": {"type": "float", "low": 0.01, "high": 0.5, "log": True},
    "activation": {"type": "categorical", "choices": ["relu", "tanh"]},
}
FOUR = SearchSettings(n_trials=4, pruner="none")


@pytest.fixture
def settings(digits_settings: DataSettings) -> TrainSettings:
    return TrainSettings(data=digits_settings, activation="relu", hidden_sizes=(16,), n_epochs=2)


def test_it_returns_the_best_settings_their_value_and_every_trial(
    settings: TrainSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    found = run_search(settings, SPACE, tiny_dataset, search=FOUR, folder=tmp_path)
    values = {trial.number: trial.value for trial in found.trials}
    assert list(values) == [0, 1, 2, 3]
    assert found.value == max(values.values())
    assert found.trials[0].params == {"learning_rate": 0.01, "activation": "relu"}
    assert found.study.startswith("digits-")
    changed = {"learning_rate", "activation", "seed"}
    assert dataclasses.replace(found.settings, **{name: getattr(settings, name) for name in changed}) == settings


def test_training_with_the_best_settings_gives_the_trial_again(
    settings: TrainSettings, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    found = run_search(settings, SPACE, tiny_dataset, search=FOUR, folder=tmp_path)
    (best,) = (trial for trial in found.trials if trial.value == found.value)
    result = run_training(found.settings, tiny_dataset)
    assert result.objective("validation/accuracy") == found.value
    assert result.model.weights_hash == best.facts["weights_hash"]


def test_the_same_call_trains_nothing_and_more_trials_the_difference(
    settings: TrainSettings, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[TrainSettings] = []

    def counted(one: TrainSettings, *arguments: Any, **hooks: Any) -> Any:
        trained.append(one)
        return run_training(one, *arguments, **hooks)

    monkeypatch.setattr(run, "run_training", counted)
    n_trained = []
    for n_trials in (2, 2, 3):
        search = dataclasses.replace(FOUR, n_trials=n_trials)
        found = run_search(settings, SPACE, tiny_dataset, search=search, folder=tmp_path)
        n_trained.append(len(trained))
    assert n_trained == [2, 2, 3]
    assert len(found.trials) == 3


def test_after_ctrl_c_the_same_call_ends_as_if_it_had_not_been_stopped(
    settings: TrainSettings,
    tiny_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    whole = run_search(settings, SPACE, tiny_dataset, search=FOUR, folder=tmp_path / "whole")
    resumed: list[int] = []

    def stopped(one: TrainSettings, dataset: Dataset, *, on_epoch: Any, checkpoints: Any) -> Any:
        def and_stop(record: Any) -> None:
            on_epoch(record)
            if not resumed:
                signal.raise_signal(signal.SIGINT)

        result = run_training(one, dataset, on_epoch=and_stop, checkpoints=checkpoints)
        resumed.append(result.resumed_from)
        return result

    monkeypatch.setattr(run, "run_training", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_search(settings, SPACE, tiny_dataset, search=FOUR, folder=tmp_path / "stopped")
    monkeypatch.setattr(run, "run_training", lambda *a, **k: _noted(resumed, *a, **k))
    again = run_search(settings, SPACE, tiny_dataset, search=FOUR, folder=tmp_path / "stopped")
    assert resumed[0] == 1
    assert [dataclasses.replace(trial, stints=()) for trial in again.trials] == [
        dataclasses.replace(trial, stints=()) for trial in whole.trials
    ]
    assert (again.settings, again.value) == (whole.settings, whole.value)


def _noted(resumed: list[int], *arguments: Any, **hooks: Any) -> Any:
    result = run_training(*arguments, **hooks)
    resumed.append(result.resumed_from)
    return result


def test_without_a_complete_trial_there_is_no_result(
    settings: TrainSettings, tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any, **hooks: Any) -> Any:
        raise NoResultError("diverged")

    monkeypatch.setattr(run, "run_training", fails)
    with pytest.raises(NoResultError, match="diverged"):
        run_search(settings, SPACE, tiny_dataset, search=dataclasses.replace(FOUR, n_trials=1), folder=tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": SearchSettings(n_workers=2)}, r"search.n_workers: 2 in run_search.*expected 1"),
        ({"search": SearchSettings(dry_run=True)}, r"search.dry_run: True in run_search"),
        ({"space": {}}, "dimensions: empty"),
        ({"space": {"learning_rat": SPACE["learning_rate"]}}, "dimensions.learning_rat"),
        ({"max_parameters": 10}, "space.max_parameters: 10, but the smallest network has"),
    ],
    ids=str,
)
def test_what_it_cannot_do_is_refused_before_anything_is_made(
    settings: TrainSettings, tiny_dataset: Dataset, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        run_search(settings, dataset=tiny_dataset, folder=tmp_path, **{"space": SPACE, **changes})
    assert list(tmp_path.iterdir()) == []

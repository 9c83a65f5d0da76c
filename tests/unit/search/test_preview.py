"""A dry run: what it tells is what the search would do."""

import dataclasses
import re
from pathlib import Path

import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import SettingsError
from mlpsweep.search.preview import first_proposals, measure_epoch, preview, told
from mlpsweep.search.settings import SAMPLER_NAMES, WinnerSettings
from mlpsweep.search.study import n_counted
from mlpsweep.search.worker import work
from tests.search_lab import CARD, base_settings, make_plan, make_services, new_study, search_settings


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_the_proposals_are_those_of_the_search(sampler: str, tmp_path: Path) -> None:
    settings, plan = search_settings(sampler=sampler, n_trials=4), make_plan()
    study = new_study(tmp_path, plan)
    work(study, settings, make_services())
    assert list(first_proposals(plan, settings, 4)) == [trial.params for trial in study.ledger.trials()]


def test_space_size_proposals_and_time_are_told() -> None:
    lines = list(
        preview(make_plan({**CARD, "max_parameters": 10**6}), search_settings(n_workers=2), lambda settings: 10.0)
    )
    assert lines[0].endswith(": validation/accuracy of digits, 12 trials of 3 epochs")
    assert "  learning_rate: 0.003 .. 0.3 log" in lines
    assert "  activation: sigmoid, tanh, relu" in lines
    assert "  at most 1,000,000 weights and biases" in lines
    assert "first proposals; trial 0 is the published baseline:" in lines
    assert any(line.startswith("  0: activation=sigmoid l2_lambda=0 ") for line in lines)
    assert lines[-1] == "time: about 3 min 00 s with 2 workers, less what trials save that pause, stop or are reused"


def test_a_grid_tells_how_many_points_it_has() -> None:
    space = {"dimensions": {"activation": CARD["dimensions"]["activation"]}, "max_parameters": None}
    lines = list(preview(make_plan(space), search_settings(sampler="grid"), lambda settings: 1.0))
    assert "sampler grid (3 proposals in all), pruner none" in lines
    assert lines[0].endswith("3 trials of 3 epochs")


def test_a_proposal_that_fits_no_training_is_refused() -> None:
    layers = {"type": "categorical", "choices": [["relu", "tanh"], "relu"]}
    space = {"dimensions": {**CARD["dimensions"], "activation": layers}, "max_parameters": None}
    with pytest.raises(SettingsError, match="activation: 2 names for"):
        list(preview(make_plan(space, activation="relu"), search_settings(), lambda settings: 1.0))


def test_a_measured_epoch_is_of_all_rows(tiny_dataset: Dataset) -> None:
    rows = tiny_dataset.train.rows[:200]
    part = dataclasses.replace(tiny_dataset, train=dataclasses.replace(tiny_dataset.train, rows=rows))
    seconds = measure_epoch(part)(base_settings(hidden_sizes=(8,)))
    assert 0 < seconds < 5


def test_a_study_that_is_there_tells_what_remains_and_none_is_made(tmp_path: Path) -> None:
    plan, few, more = make_plan(), search_settings(n_trials=2), search_settings(n_trials=5)
    assert n_counted(plan, few, tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
    work(new_study(tmp_path), few, make_services())
    assert n_counted(plan, more, tmp_path) == 2
    assert n_counted(make_plan(seed=1), more, tmp_path) == 0
    assert n_counted(make_plan(seed=1), more, tmp_path) == 0
    lines = list(preview(plan, few, lambda settings: 1.0, 2))
    assert "there already: 2 trials; 0 trials of 2 to be trained" in lines
    assert not lines[-1].startswith("time: ")
    assert "there already: 2 trials; 3 trials of 5 to be trained" in preview(plan, more, lambda settings: 1.0, 2)


def test_a_group_is_told_to_mlflow_in_names_that_it_takes() -> None:
    rate = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
    group = {"type": "group", "choices": {"sgd": {}, "adam": {"learning_rate": rate}}}
    params = told(make_plan({"dimensions": {"optimizer": group}}), search_settings(), WinnerSettings())
    assert params["space.optimizer"] == "sgd, adam"
    assert params["space.learning_rate with adam"] == "0.0001 .. 0.01 log"
    assert not [name for name in params if re.search(r"[^\w./:\- ]", name)]

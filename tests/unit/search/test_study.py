"""Studies: what is the same one, what is another, and where they lie."""

import dataclasses
from pathlib import Path
from typing import Any

import optuna
import pytest

from mlpsweep.data.dataset import Dataset
from mlpsweep.errors import SettingsError, StorageError
from mlpsweep.search.claims import Claim
from mlpsweep.search.study import Plan
from mlpsweep.search.worker import work
from mlpsweep.training.run import run_training
from tests.search_lab import CARD, an_owner, make_plan, make_services, new_study, search_settings

PLAN = make_plan()
WIDER = {**CARD["dimensions"], "l2_lambda": {"type": "float", "low": 0.0, "high": 0.2}}


def test_a_plan_has_one_name() -> None:
    assert make_plan().name == PLAN.name
    assert PLAN.name.startswith("digits-")
    assert len(PLAN.name) == len("digits-") + 8


@pytest.mark.parametrize(
    "other",
    [
        make_plan({**CARD, "dimensions": WIDER}),
        make_plan({**CARD, "max_parameters": 10**6}),
        make_plan(n_epochs=4),
        make_plan(seed=1),
        make_plan(batch_size=32),
        make_plan(averaging=0.99),
        make_plan(optimizer={"name": "momentum", "momentum": 0.9, "nesterov": True}),
        make_plan(metric="validation/loss"),
        dataclasses.replace(PLAN, data_digest="e" * 64),
        dataclasses.replace(PLAN, sources_digest="e" * 64),
    ],
    ids=["space", "bound", "epochs", "seed", "fixed setting", "averaging", "optimizer", "metric", "data", "sources"],
)
def test_a_plan_that_differs_has_another_name(other: Plan) -> None:
    assert other.name != PLAN.name


@pytest.mark.parametrize("other", [make_plan(log_every=7), make_plan(learning_rate=0.1)], ids=["log_every", "searched"])
def test_what_cannot_change_a_trial_does_not_change_the_name(other: Plan) -> None:
    assert other.name == PLAN.name


def test_the_study_lies_under_mlruns(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    assert study.name == PLAN.name
    assert (tmp_path / "mlruns/optuna.db").exists()
    assert study.trial_folder(7) == tmp_path / "mlruns/studies" / PLAN.name / "trials/0007"


def test_a_study_names_its_metric_for_the_dashboard(tmp_path: Path) -> None:
    new_study(tmp_path)
    study = optuna.load_study(study_name=PLAN.name, storage=f"sqlite:///{tmp_path}/mlruns/optuna.db")
    assert study.metric_names == ["validation/accuracy"]


def test_the_dashboard_shows_what_is_searched_and_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard", reason="pip install -e '.[ui]'")
    new_study(tmp_path)
    study = optuna.load_study(study_name=PLAN.name, storage=f"sqlite:///{tmp_path}/mlruns/optuna.db")
    assert "validation/accuracy of digits after" in dashboard.get_note(study)
    assert "- `learning_rate`: " in dashboard.get_note(study)
    dashboard.save_note(study, "mine")
    new_study(tmp_path)
    assert dashboard.get_note(study) == "mine"


def test_a_storage_of_ones_own_is_used(tmp_path: Path) -> None:
    study = new_study(tmp_path, storage=f"sqlite:///{tmp_path / 'my own/study.db'}")
    assert study.folder == tmp_path / "my own/studies" / study.name
    assert (tmp_path / "my own/study.db").exists()
    assert not (tmp_path / "mlruns/optuna.db").exists()


def test_opening_twice_joins(tmp_path: Path) -> None:
    first = new_study(tmp_path)
    work(first, search_settings(n_trials=2), make_services())
    assert [trial.number for trial in new_study(tmp_path).counted()] == [0, 1]


def test_a_fixed_name_with_another_space_is_refused_with_the_difference(tmp_path: Path) -> None:
    new_study(tmp_path, study="mine")
    with pytest.raises(SettingsError, match=r"search.study: 'mine' searches something else: .*l2_lambda.*0\.1.*0\.2"):
        new_study(tmp_path, make_plan({**CARD, "dimensions": WIDER}), study="mine")


def test_a_difference_names_what_is_only_there_and_only_here(tmp_path: Path) -> None:
    new_study(tmp_path, study="mine")
    fewer = {name: spec for name, spec in CARD["dimensions"].items() if name != "l2_lambda"}
    with pytest.raises(
        SettingsError, match=r"l2_lambda is absent there and 0.0 here; space.l2_lambda is .* absent here"
    ):
        new_study(tmp_path, make_plan({**CARD, "dimensions": fewer}), study="mine")


@pytest.mark.parametrize("name", ["../../x", "a/b", "x" * 600, "a\nb", ".hidden", "", "a b"])
def test_a_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="study: .* does not fit; expected at most 100 letters"):
        search_settings(study=name)


@pytest.mark.parametrize("url", ["sqlte:///x.db", "journal:///x", "sqlite://", "sqlite:///:memory:", "postgresql://h"])
def test_a_storage_that_is_not_offered_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="storage: .* does not fit; expected an address sqlite:///<file>"):
        search_settings(storage=url)


@pytest.mark.parametrize(
    "changes", [{"n_trials": 0}, {"n_workers": 0}, {"sampler": "cmaes"}, {"metric": "acuracy"}, {"max_retries": -1}]
)
def test_a_setting_out_of_range_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=rf"{next(iter(changes))}: .* does not fit; expected"):
        search_settings(**changes)


def test_equal_parameters_give_equal_trainings_and_others_another_seed() -> None:
    baseline = PLAN.space.baseline()
    assert baseline is not None
    other = {**baseline, "l2_lambda": 0.05}
    assert PLAN.trial_settings(baseline) == PLAN.trial_settings(dict(baseline))
    assert PLAN.trial_settings(baseline).seed != PLAN.trial_settings(other).seed
    assert PLAN.trial_settings(baseline).seed != make_plan(seed=1).trial_settings(baseline).seed


def test_averaged_weights_leave_the_seed_and_the_weights_of_a_trial(tiny_dataset: Dataset) -> None:
    params = {
        "activation": "relu",
        "l2_lambda": 0.01,
        "learning_rate": 0.2,
        "hidden_sizes.depth": 1,
        "hidden_sizes.1": 32,
    }
    plain, averaged = (make_plan(averaging=decay).trial_settings(params) for decay in (None, 0.99))
    assert averaged == dataclasses.replace(plain, averaging=0.99)
    one, other = (run_training(settings, tiny_dataset) for settings in (plain, averaged))
    assert other.model.weights_hash == one.model.weights_hash
    assert other.metrics() == one.metrics()
    assert other.history[0].metrics() != one.history[0].metrics()


def test_the_best_is_the_highest_accuracy_then_the_lowest_loss(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    work(study, search_settings(n_trials=6), make_services())
    complete = study.complete()
    assert [trial.value for trial in complete] == sorted((trial.value or 0.0 for trial in complete), reverse=True)


def test_the_best_loss_is_the_lowest(tmp_path: Path) -> None:
    study = new_study(tmp_path, make_plan(metric="validation/loss"), metric="validation/loss")
    work(study, search_settings(n_trials=6, metric="validation/loss"), make_services())
    complete = study.complete()
    assert [trial.value for trial in complete] == sorted(trial.value or 0.0 for trial in complete)


def test_an_ended_trial_is_checked_once_and_a_fault_is_told_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, checked = new_study(tmp_path), list[int]()
    work(study, search_settings(n_trials=2), make_services())
    at_work = study.ledger.claim(an_owner("another"), 3)
    monkeypatch.setattr("mlpsweep.search.study._faults", lambda trial, *_: iter(checked.append(trial.number) or ()))
    again = new_study(tmp_path)
    assert isinstance(at_work, Claim)
    for _ in range(2):
        again.trials()
    assert checked == [0, 1, 2, 2, 2]  # first when it was opened
    monkeypatch.setattr("mlpsweep.search.study._faults", lambda *_: iter(["is strange"]))
    unchecked = dataclasses.replace(again)
    for _ in range(2):
        with pytest.raises(StorageError, match="trial 0 of .* is strange"):
            unchecked.trials()


def test_stored_studies_know_the_kinds_of_leaves_by_words_that_stay() -> None:
    identity = make_plan().identity()
    assert identity["space.activation"]["kind"] == "Choice"
    assert identity["space.learning_rate"]["kind"] == "Range"

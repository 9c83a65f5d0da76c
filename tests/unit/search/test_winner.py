"""The winner: what is written about it, and that it is the same bytes every time."""

import csv
import io
import json
from pathlib import Path

import pytest
import yaml

from mlpsweep.errors import NoResultError
from mlpsweep.search import winner
from mlpsweep.search.recipe import winner_recipe
from mlpsweep.search.rows import trials_csv
from mlpsweep.search.study import Study
from mlpsweep.search.worker import work
from mlpsweep.settings import TrainSettings
from tests.search_lab import make_services, make_trainer, new_study, search_settings


def searched(root: Path, n_trials: int = 12, diverge_above: float = 0.1) -> Study:
    study = new_study(root)
    services = make_services(make_trainer(diverge_above=diverge_above))
    work(study, search_settings(n_trials=n_trials, pruner="asha"), services)
    return study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return searched(tmp_path_factory.mktemp("study"))


def test_the_winner_has_the_highest_value(study: Study) -> None:
    assert winner.best_trial(study).value == max(trial.value or 0.0 for trial in study.complete())


def test_ties_go_to_the_lower_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.5, 0.2, 0.9])
    study = new_study(tmp_path)
    services = make_services()

    def tied(settings: object, **others: object) -> object:
        result = services.train(settings, **others)
        loss = next(losses)
        result.objective = lambda metric: {"validation/accuracy": 0.9, "validation/loss": loss}[metric]
        return result

    work(study, search_settings(n_trials=3), make_services(tied))
    assert winner.best_trial(study).number == 1


def test_the_recipe_gives_the_winners_settings_and_where_they_come_from(study: Study) -> None:
    text = winner_recipe(study, {"batch_size": 32})
    assert text.startswith("# @package _global_\n# Winner of the study digits-")
    best = winner.best_trial(study)
    origin = {"study": study.name, "trial": best.number}
    settings = study.plan.space.overrides(best.params)
    assert yaml.safe_load(text) == {**settings, "batch_size": 32, "origin": origin}


def test_the_table_has_a_line_for_every_trial(study: Study) -> None:
    rows = list(csv.DictReader(io.StringIO(trials_csv(winner.search_of(study).trials))))
    assert [int(row["number"]) for row in rows] == [trial.number for trial in study.trials()]
    assert {row["state"] for row in rows} == {"complete", "pruned", "failed"}
    assert all(row["reason"] for row in rows if row["state"] != "complete")
    assert float(rows[0]["value"]) == study.trials()[0].value


def test_the_summary_counts_every_state(study: Study) -> None:
    told = winner.summary(study)
    assert sum(told["n_trials"].values()) == 12
    assert told["winner"]["trial"] == winner.best_trial(study).number
    json.dumps(told, allow_nan=False)


def test_equal_studies_give_equal_bytes(study: Study, tmp_path: Path) -> None:
    other = searched(tmp_path)
    assert winner_recipe(study, {}) == winner_recipe(other, {})
    tables = [trials_csv(winner.search_of(one).trials) for one in (study, other)]
    assert tables[0] == tables[1]
    assert winner.summary(study) == winner.summary(other)
    written = winner_recipe(study, {}) + tables[0] + json.dumps(winner.summary(study))
    assert str(tmp_path) not in written
    assert str(study.folder) not in written


def test_a_study_without_a_complete_trial_has_no_winner_but_a_table_of_reasons(tmp_path: Path) -> None:
    def odd(settings: TrainSettings) -> None:
        if settings.learning_rate != 0.01:
            raise ValueError("odd")

    study = new_study(tmp_path)
    work(study, search_settings(n_trials=3), make_services(make_trainer(odd, diverge_above=0.0)))
    expected = (
        r"no trial of digits-\w+ is complete, .*\n +2 x ValueError: odd\n +1 x DivergenceError: training: the loss"
    )
    with pytest.raises(NoResultError, match=expected):
        winner.best_trial(study)


def test_an_empty_study_has_no_winner(tmp_path: Path) -> None:
    with pytest.raises(NoResultError, match="No trial was begun"):
        winner.best_trial(new_study(tmp_path))

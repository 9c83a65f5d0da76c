import dataclasses

import pytest

from mlpsweep.errors import DataError, DataFormatError
from mlpsweep.search.rows import Finalist, Search, Stint, TrialRow, read_trials, times_csv, trials_csv


def test_files_give_the_rows_back(search, tmp_path):
    (tmp_path / "trials.csv").write_text(trials_csv(search.trials))
    (tmp_path / "times.csv").write_text(times_csv(search.trials))
    assert read_trials(tmp_path / "trials.csv", tmp_path / "times.csv") == search.trials


def test_results_hold_no_times(search, tmp_path):
    later = tuple(dataclasses.replace(t, stints=(Stint("elsewhere", 1e9, 2e9),)) for t in search.trials)
    assert trials_csv(later) == trials_csv(search.trials)
    (tmp_path / "trials.csv").write_text(trials_csv(search.trials))
    assert {trial.stints for trial in read_trials(tmp_path / "trials.csv", tmp_path / "missing.csv")} == {()}


@pytest.mark.parametrize("value", [1, 0.1, 1e-7, 12345.678901234567, True, "relu", 'a,b"c', "[64,32]"])
def test_parameters_keep_value_and_type(tmp_path, value):
    (tmp_path / "trials.csv").write_text(trials_csv([TrialRow(0, "complete", 0.5, {"p": value})]))
    (trial,) = read_trials(tmp_path / "trials.csv")
    assert trial.params == {"p": value}
    assert type(trial.params["p"]) is type(value)


def test_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(DataError, match=r"trials\.csv: no such file.*dvc repro"):
        read_trials(tmp_path / "trials.csv")


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "number,state,value,intermediate\nx,complete,,\n"])
def test_another_table_is_refused_by_name(tmp_path, text):
    (tmp_path / "trials.csv").write_text(text)
    with pytest.raises(DataFormatError, match=r"trials\.csv: not a table of trials"):
        read_trials(tmp_path / "trials.csv")


def test_best_is_the_highest_and_of_equals_the_first(search):
    assert search.best.number == 4
    without = dataclasses.replace(search, trials=tuple(t for t in search.trials if t.number != 4))
    assert without.best.number == 1


def test_a_loss_is_better_when_lower(search):
    assert dataclasses.replace(search, metric="validation/loss").best.number == 0


def test_nothing_complete_has_no_best(search):
    assert Search("s", "validation/accuracy", search.trials[5:7]).best is None


def test_only_varying_parameters_count(search):
    assert search.varying_params == ("activation", "learning_rate", "hidden_sizes.1", "hidden_sizes.2")


def test_states_are_counted_complete_first(search):
    assert search.counts() == {"complete": 5, "pruned": 2, "failed": 1}
    assert list(search.counts())[0] == "complete"


def test_table_has_the_best_on_top_and_only_varying_columns(search):
    table = search.table()
    assert [row["number"] for row in table.rows] == [4, 1, 2, 7, 0, 3, 5, 6]
    titles = [column.title for column in table.columns]
    assert "batch_size" not in titles
    assert "hidden_sizes.2" in titles
    assert table.rows[5]["value"] == search.trials[3].intermediate[-1][1]  # pruned: its last value


def test_a_paused_trial_says_where_it_waits_and_comes_before_failed_ones(tmp_path):
    rows = (
        TrialRow(0, "failed", None, {"a": 1}),
        TrialRow(1, "paused", None, {"a": 2}, ((1, 0.5), (2, 0.6), (3, 0.7))),
        TrialRow(2, "complete", 0.9, {"a": 3}),
        TrialRow(3, "paused", None, {"a": 4}, ((0, 0.4),)),
    )
    search = Search("s", "validation/accuracy", rows)
    assert search.counts() == {"complete": 1, "paused": 2, "failed": 1}
    states = ["complete", "failed", "paused after epoch 3", "paused in epoch 1"]
    assert [row["state"] for row in search.table().rows] == states
    assert [row["epochs"] for row in search.table().rows] == [None, None, 3, None]
    assert [line.split(",")[3] for line in trials_csv(rows).splitlines()] == ["n_epochs", "0", "3", "0", "0"]
    (tmp_path / "trials.csv").write_text(trials_csv(rows))
    assert read_trials(tmp_path / "trials.csv") == rows


def test_a_finalists_spread_is_that_of_a_sample_and_none_for_one_seed():
    one = Finalist(0, (0.90, 0.92, 0.94), n_parameters=10, is_tied=True, is_winner=True)
    assert (one.mean, one.spread) == (pytest.approx(0.92), pytest.approx(0.02))
    assert dataclasses.replace(one, values=(0.9,)).spread is None

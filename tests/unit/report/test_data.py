import dataclasses
import shutil

import numpy as np
import pytest

from mlpsweep.errors import DataError, DataFormatError
from mlpsweep.files import read_json, write_json
from mlpsweep.report.data import load_report_data
from mlpsweep.search.folder import SearchFolder
from mlpsweep.search.rows import times_csv, trials_csv


@pytest.fixture
def copied(artifacts, tmp_path):
    return shutil.copytree(artifacts, tmp_path / "artifacts")


def write_search(folder, search, **further):
    finalist = {
        "trial": 4, "values": [0.98, 0.97], "n_parameters": 5000, "is_tied": True, "is_winner": True,
        "settings": {"activation": "relu"},
    }  # fmt: skip
    summary = {"study": search.study, "metric": search.metric, "importances": dict(search.importances)}
    write_json(folder / "summary.json", summary | {"finalists": [finalist], **further})
    (folder / "trials.csv").write_text(trials_csv(search.trials))
    folder.with_name("search.times.csv").write_text(times_csv(search.trials))


def test_files_give_the_evaluation_back(report_data, evaluation):
    winner = report_data.winner
    assert [model.name for model in report_data.models] == ["winner", "relu"]
    np.testing.assert_array_equal(winner.confusion, evaluation.confusion)
    np.testing.assert_array_equal(winner.predictions.predicted_labels, evaluation.predicted_labels)
    np.testing.assert_allclose(winner.predictions.confidence, evaluation.confidence, rtol=1e-6)
    assert winner.predictions.correct.mean() == evaluation.splits["test"].accuracy
    assert winner.class_names == evaluation.class_names
    assert (report_data.dataset, report_data.title, report_data.stands_in_for) == ("digits", evaluation.title, None)


def test_histories_runs_and_images_are_read(report_data):
    winner = report_data.winner
    assert winner.points("validation/accuracy") == [(1.0, 0.8 + 0.05 * 1), (2.0, 0.9)]
    assert winner.points("validation/loss") == []
    assert winner.run.seconds == 3.0
    assert {"misclassified", "confused_pairs"} <= set(winner.images)


def test_baselines_follow_the_winner_the_most_accurate_first(copied):
    for kind in ("train", "evaluate"):
        shutil.copytree(copied / kind / "winner", copied / kind / "tanh")
    assert [model.name for model in load_report_data(copied).models] == ["winner", "tanh", "relu"]


def test_settings_and_size_are_read(report_data):
    assert report_data.winner.settings["optimizer.name"] == "sgd"
    assert report_data.winner.n_parameters == 64 * 10 + 10


def test_without_a_winner_the_most_accurate_model_is_shown(report_data):
    baselines = dataclasses.replace(report_data, models=report_data.models[1:])
    assert baselines.winner is None
    assert baselines.shown.name == "relu"


def test_a_run_without_tracking_has_no_run(copied):
    (copied / "train/winner.run.json").unlink()
    assert load_report_data(copied).winner.run is None


@pytest.mark.parametrize(
    ("commits", "facts"),
    [(("c0ffee", "c0ffee"), [("git commit", "c0ffee")]),
     (("c0ffee", "decade"), [("git commit of winner", "decade"), ("git commit of relu", "c0ffee")])],
    ids=["same", "different"],
)  # fmt: skip
def test_lineage_says_with_what_the_models_were_made(copied, commits, facts):
    for name, commit in zip(("relu", "winner"), commits, strict=True):
        file = copied / f"train/{name}.run.json"
        write_json(file, read_json(file) | {"made_with": {"mlflow.source.git.commit": commit, "numpy": "2.4.6"}})
    assert load_report_data(copied).lineage == (*facts, ("NumPy", "2.4.6"))


def test_no_evaluation_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"no evaluation in .*evaluate; expected at least one\. Run `dvc repro`"):
        load_report_data(tmp_path)


def test_results_on_two_data_sets_are_not_mixed(copied):
    file = copied / "evaluate/relu/lineage.json"
    write_json(file, read_json(file) | {"title": "MNIST"})
    with pytest.raises(DataError, match="MNIST and .*expected one data set"):
        load_report_data(copied)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("evaluate/relu/metrics.json", "{}", "not what its name says .*it lacks train, "),
        ("evaluate/relu/predictions.csv", "row,label\n1,2\n", "not what its name says"),
        ("evaluate/relu/predictions.csv", "row,label,predicted,probability\n1,2,x,0.5\n", "not what its name says"),
        ("evaluate/relu/confusion_matrix.csv", "", "not what its name says"),
        ("train/relu/history.csv", "epoch,train/loss\n1,abc\n", "not a table of a training's epochs"),
    ],
)
def test_a_damaged_file_is_named(copied, name, text, message):
    (copied / name).write_text(text)
    with pytest.raises(DataFormatError, match=f"{name}: {message}"):
        load_report_data(copied)


@pytest.mark.parametrize("name", ["train/relu/history.csv", "evaluate/relu/predictions.csv"])
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(DataError, match=f"{name}: no such file"):
        load_report_data(copied)


def test_search_comes_with_times_importances_and_finalists(tmp_path, search):
    folder = tmp_path / "search"
    write_search(folder, search)
    loaded = SearchFolder(folder).read()
    assert loaded.trials == search.trials
    assert loaded.importances == search.importances
    assert loaded.finalists[0].values == (0.98, 0.97)


@pytest.mark.parametrize(
    ("further", "is_log"),
    [({}, None), ({"log_scaled": ["learning_rate"]}, True), ({"log_scaled": []}, False)],
    ids=["earlier", "log", "linear"],
)
def test_a_search_says_on_which_scales_it_drew(tmp_path, search, further, is_log):
    write_search(tmp_path / "search", search, **further)
    assert SearchFolder(tmp_path / "search").read().is_log("learning_rate") is is_log


def test_a_search_that_is_not_there_is_left_out(report_data):
    assert report_data.search is None


def test_a_search_without_its_summary_is_refused(tmp_path, search):
    folder = tmp_path / "search"
    write_search(folder, search)
    write_json(folder / "summary.json", {"metric": "validation/accuracy"})
    with pytest.raises(
        DataFormatError, match=r"summary\.json: not the summary of a search \(KeyError\('study'\)\)\. Run `dvc repro"
    ):
        SearchFolder(folder).read()

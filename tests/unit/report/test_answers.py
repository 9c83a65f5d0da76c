"""The five sentences hold the figures of metrics.json."""

import dataclasses
import re

import pytest

from mlpsweep.files import read_json
from mlpsweep.report.answers import answers
from mlpsweep.report.report import render_report
from mlpsweep.search.rows import Finalist
from mlpsweep.tables import FORMATS
from mlpsweep.training.folder import RunRecord

COMMAND = "python -m pipeline.train --config-dir artifacts/digits/search recipe=winner"


@pytest.fixture
def data(report_data, search):
    finalists = (
        Finalist(4, (0.98, 0.97, 0.99), 650, is_tied=True, is_winner=True),
        Finalist(1, (0.97, 0.96, 0.95), 900, is_tied=False, is_winner=False),
    )
    commands = (("everything", "dvc repro"), ("the winner", COMMAND))
    return dataclasses.replace(report_data, search=dataclasses.replace(search, finalists=finalists), commands=commands)


@pytest.fixture
def metrics(artifacts):
    return {name: read_json(artifacts / "evaluate" / name / "metrics.json") for name in ("winner", "relu")}


def told(data):
    return {answer.name: answer.text for answer in answers(data)}


def test_which_names_trial_size_and_settings(data):
    text = told(data)["which"]
    assert "trial 4 of 8" in text
    assert "650 parameters" in text
    for name in ("learning_rate", "l2_lambda"):
        assert f"{name} {FORMATS['number'](data.winner.settings[name])}" in text


@pytest.mark.parametrize(
    ("widths", "words"),
    [([], "no hidden layer"), ([8], "1 hidden layer of 8 units"), ([9, 8], "2 hidden layers of 9 and 8 units"),
     ([9, 8, 7], "3 hidden layers of 9, 8 and 7 units")],
)  # fmt: skip
def test_which_says_what_the_network_is(data, widths, words):
    winner = dataclasses.replace(data.winner, settings={**data.winner.settings, "hidden_sizes": widths})
    assert f"sigmoid, {words}, " in told(dataclasses.replace(data, models=(winner, *data.others)))["which"]


def test_how_much_has_both_accuracies_and_their_difference(data, metrics):
    text = told(data)["how-much"]
    winner, relu = (metrics[name]["test"] for name in ("winner", "relu"))
    assert f"{100 * winner['accuracy']:.2f} % of {winner['n_samples']} test images" in text
    assert f"relu, reaches {100 * relu['accuracy']:.2f} %" in text
    assert f"{100 * (winner['accuracy'] - relu['accuracy']):+.2f} points" in text


def test_luck_has_the_interval_and_the_spread_over_seeds(data, metrics):
    text, test = told(data)["luck"], metrics["winner"]["test"]
    assert f"{100 * test['accuracy_low']:.2f}–{100 * test['accuracy_high']:.2f} %" in text
    assert "over 3 seeds its validation accuracy was 98.00 % with a standard deviation of 1.00 %" in text


@pytest.mark.parametrize(("is_same", "verdict"), [(True, "may explain it"), (False, "does not explain it")])
def test_luck_is_judged_by_the_interval_of_the_difference(data, is_same, verdict):
    winner, relu = data.models
    wrong = relu.predictions.labels + 1
    others = winner if is_same else dataclasses.replace(
        relu, predictions=dataclasses.replace(relu.predictions, predicted_labels=wrong)
    )  # fmt: skip
    models = (winner, dataclasses.replace(others, name="relu"))
    assert verdict in told(dataclasses.replace(data, models=models))["luck"]


def test_how_found_counts_trials_finalists_and_images(data, metrics):
    text = told(data)["how-found"]
    assert "8 configurations (5 complete, 2 stopped early as hopeless, 1 failed)" in text
    assert "the best 2 again on 3 seeds" in text
    assert f"learned from {FORMATS['count'](metrics['winner']['train']['n_samples'])} " in text


def test_a_winner_without_validation_says_why_it_has_none(data):
    figures = {**data.winner.metrics, "train": {"accuracy": 1.0, "n_samples": 60_000}}
    figures.pop("validation", None)
    winner = dataclasses.replace(data.winner, metrics=figures)
    text = told(dataclasses.replace(data, models=(winner, *data.others)))["how-found"]
    assert "60\u202f000 images, those for validation among them, so that no validation accuracy can be measured" in text


def test_rebuild_has_commit_time_weights_and_command(data):
    run = RunRecord("f" * 32, "relu", {"mlflow.source.git.commit": "c0ffee0123", "git_dirty": "true"}, 62.0)
    model = {**data.winner.metrics["model"], "weights_hash": "a1" * 32}
    winner = dataclasses.replace(data.winner, run=run, metrics={**data.winner.metrics, "model": model})
    *_, rebuild = answers(dataclasses.replace(data, models=(winner, *data.others)))
    assert rebuild.command == COMMAND
    for part in ("commit c0ffee01, with uncommitted changes", "in about 1 min 02 s", "SHA-256 a1a1a1a1)"):
        assert part in rebuild.text


def test_baselines_alone_have_five_sentences_too(data):
    alone = dataclasses.replace(data, models=data.models[1:], search=None)
    sentences = told(alone)
    assert "The most accurate of 1 model, relu" in sentences["which"]
    assert "no other model" in sentences["how-much"]
    assert "a baseline" in sentences["how-found"]
    assert answers(alone)[-1].command == "dvc repro"


@pytest.mark.slow
def test_the_page_has_the_sentences_by_their_ids(data):
    page = render_report(data)
    found = re.findall(r'<dd><span id="([a-z-]+)">', page)
    assert found == ["which", "how-much", "luck", "how-found", "rebuild"]
    assert f"<code>{COMMAND}</code>" in page

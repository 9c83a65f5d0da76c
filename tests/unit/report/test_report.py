import dataclasses

import pytest

from mlpsweep.evaluation.statistics import mcnemar
from mlpsweep.report.models import models_section
from mlpsweep.report.report import render_report
from mlpsweep.report.search import finalists_section, trials_section
from mlpsweep.search.edges import Edge
from mlpsweep.search.rows import Finalist
from tests.hostile import hostile


@pytest.fixture(scope="session")
def data(report_data):
    """As it would be, had MNIST been out of reach."""
    commands, lineage = (("everything", "dvc repro"),), (("git commit", "c0ffee"),)
    return dataclasses.replace(report_data, commands=commands, lineage=lineage, stands_in_for="mnist")


@pytest.fixture(scope="session")
def page(data):
    return render_report(data)


@pytest.mark.slow
def test_headline_gives_the_winners_accuracy_with_its_interval(page, evaluation):
    low, high = (100 * end for end in evaluation.accuracy_interval)
    accuracy = 100 * evaluation.splits["test"].accuracy
    assert f"The winner of the search classifies {accuracy:.2f} % of 360 test images correctly" in page
    assert f"(95 % interval {low:.2f}–{high:.2f} %)" in page


@pytest.mark.slow
@pytest.mark.parametrize("text", ["dvc repro", "c0ffee", "abababab", "ffffffff", "winner 64"])
def test_lineage_names_keys_runs_and_commands(page, text):
    assert text in page


@pytest.mark.slow
def test_every_figure_has_an_alternative_text(page):
    assert page.count("<img ") == page.count('alt="') > 5
    assert 'alt=""' not in page


@pytest.mark.slow
def test_equal_results_make_equal_pages(data, page):
    assert render_report(data) == page


@pytest.mark.slow
def test_a_stand_in_is_announced(page):
    assert "digits stands in for it. These results say nothing about mnist." in page


def test_models_are_compared_on_the_same_images(report_data):
    winner, relu = report_data.models
    _, compared = models_section(report_data).tables
    (row,) = compared.rows
    assert row["difference"] == pytest.approx(winner.metrics["test"]["accuracy"] - relu.metrics["test"]["accuracy"])
    assert row["interval"][0] < row["difference"] < row["interval"][1]
    assert row["p"] == mcnemar(winner.predictions.correct, relu.predictions.correct).p_mid


def test_finalists_name_the_tied_ones(report_data, search):
    finalists = (
        Finalist(4, (0.98, 0.97, 0.99), 900, is_tied=True, is_winner=False),
        Finalist(1, (0.98, 0.97, 0.98), 500, is_tied=True, is_winner=True),
        Finalist(7, (0.93,), 100, is_tied=False, is_winner=False),
    )
    section = finalists_section(
        dataclasses.replace(report_data, search=dataclasses.replace(search, finalists=finalists))
    )
    assert "Trials 4, 1 are tied" in section.paragraphs[0]
    first, second, third = section.tables[0].rows
    assert first["mean"] == pytest.approx(0.98)
    assert first["spread"] == pytest.approx(0.01)
    assert [first["verdict"], second["verdict"], third["verdict"]] == ["tied", "winner", ""]
    assert third["spread"] is None


def test_finalists_of_several_optimisers_stand_in_one_table(report_data, search):
    params = ({"optimizer": "momentum", "optimizer.momentum": 0.8123456}, {"optimizer": "sgd"})
    finalists = tuple(
        Finalist(k, (0.9,), 9, is_tied=False, is_winner=not k, params=one) for k, one in enumerate(params)
    )
    section = finalists_section(
        dataclasses.replace(report_data, search=dataclasses.replace(search, finalists=finalists))
    )
    assert [row[-2:] for row in section.tables[0].texts()] == [["momentum", "0.8123"], ["sgd", "–"]]


def test_a_winner_at_the_end_of_a_range_comes_with_what_widens_it(report_data, search):
    override = "space.dimensions.l2_lambda.high=0.15"
    edges = (Edge("l2_lambda", 0.092, 0.0, 0.1, override),)
    page = render_report(dataclasses.replace(report_data, search=dataclasses.replace(search, edges=edges)))
    assert "The winner&#39;s l2_lambda 0.092 lies at the upper end of 0 .. 0.1; a wider range may hold" in page
    assert f"<code>{override}</code>" in page
    assert "wider range" not in render_report(dataclasses.replace(report_data, search=search))


def test_parameters_that_some_trials_lack_have_no_importance_and_that_is_said(report_data, search):
    page = render_report(dataclasses.replace(report_data, search=search))
    assert "Not every trial has hidden_sizes.2: no share is known" in page


def test_without_retraining_there_are_no_finalists(report_data, search):
    assert finalists_section(dataclasses.replace(report_data, search=search)) is None
    assert trials_section(report_data) is None


@pytest.mark.slow
def test_500_trials_with_hostile_names_are_a_small_harmless_page(report_data):
    page = render_report(hostile(report_data, 500))
    assert len(page.encode()) < 10_000_000
    assert "<img src=x" not in page
    assert 'role="note"' not in page  # digits that were asked for stand in for nothing
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 250

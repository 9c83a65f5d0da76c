"""A model's card tells what goes in and comes out, how good it is, on what, and what it must not be trusted with."""

from mlpsweep.data.dataset import Dataset
from mlpsweep.evaluation.metrics import Evaluation
from mlpsweep.report.card import model_card
from mlpsweep.training.model import Model


def test_a_card_says_what_a_stranger_needs(evaluation: Evaluation, tiny_dataset: Dataset, model: Model) -> None:
    card = model_card(evaluation, tiny_dataset.manifest, model)
    low, high = evaluation.accuracy_interval
    test = evaluation.splits["test"]
    for words in (
        f"(n, {model.n_features})", f"(n, {model.n_classes})", ", ".join(evaluation.class_names), evaluation.title,
        f"{100 * test.accuracy:.2f} % of {test.n_samples} test rows", f"{100 * low:.2f}–{100 * high:.2f} %", "Knows",
    ):  # fmt: skip
        assert words in card
    assert "the search" not in card


def test_a_card_names_the_search_that_found_the_model(
    evaluation: Evaluation, tiny_dataset: Dataset, model: Model
) -> None:
    found = model.with_metadata(origin={"study": "digits-1234", "trial": 7})
    assert "found by trial 7 of the search digits-1234" in model_card(evaluation, tiny_dataset.manifest, found)

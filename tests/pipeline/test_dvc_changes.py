"""A changed setting or file of conf/ makes DVC run what depends on it; nothing is trained here."""

import json

import pytest

from tests.pipeline.clone import Clone

pytestmark = [pytest.mark.slow, pytest.mark.dvc]
TRAININGS = {"train@sigmoid", "train@tanh", "train@relu", "search", "train_winner"}
ALWAYS = {"download", "report"}


def test_a_changed_setting_runs_what_depends_on_it_and_no_more(clone: Clone) -> None:
    clone.replace("conf/search.yaml", "reuse: true", "reuse: false")
    planned = clone.ok("dvc repro --dry")
    running = [line.split("'")[1] for line in planned.splitlines() if line.startswith("Running stage")]
    assert running[:2] == ["download", "search"]
    clone.ok("git checkout --quiet conf")
    clone.replace("conf/train.yaml", "- optimizer: sgd ", "- optimizer: adam ")
    planned = clone.ok("dvc repro --dry")
    running = [line.split("'")[1] for line in planned.splitlines() if line.startswith("Running stage")]
    assert {"train@sigmoid", "train@tanh", "train@relu", "search"} <= set(running)
    assert "prepare" not in running


@pytest.mark.parametrize(
    ("file", "old", "new", "stages"),
    [
        ("conf/optimizer/sgd.yaml", "name: sgd", "name: momentum", TRAININGS),
        ("conf/schedule/cosine.yaml", "final_fraction: 0.0", "final_fraction: 0.1", TRAININGS),
        ("conf/augment/none.yaml", "name: none", "name: distort", TRAININGS),
        ("conf/space/card.yaml", "high: 0.1", "high: 0.2", {"search"}),
    ],
)
def test_an_edited_choice_runs_what_uses_it(clone: Clone, file: str, old: str, new: str, stages: set[str]) -> None:
    clone.replace(file, old, new)
    assert set(json.loads(clone.ok("dvc status --json"))) == stages | ALWAYS

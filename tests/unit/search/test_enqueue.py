"""What ``search.enqueue`` names is tried first, once, with what it leaves out drawn; what cannot be is told at once."""

from pathlib import Path
from typing import Any

import pytest

from mlpsweep.errors import SettingsError
from mlpsweep.search.enqueue import read_wanted
from mlpsweep.search.worker import work
from tests.search_lab import make_services, make_space, new_study, outcome, search_settings

WANTED = [{"activation": "relu", "hidden_sizes": [64, 32]}, {"learning_rate": 0.123}]


def test_wanted_configurations_are_tried_first_and_once(tmp_path: Path) -> None:
    search: dict[str, Any] = {"n_trials": 4, "sampler": "tpe", "enqueue": WANTED}
    study = new_study(tmp_path, **search)
    work(study, search_settings(**search), make_services())
    first, second, third, _ = (study.plan.space.overrides(trial.params) for trial in study.trials())
    assert (first["activation"], first["hidden_sizes"], second["learning_rate"]) == ("relu", [64, 32], 0.123)
    # The published network keeps its place before all that is proposed.
    baseline = study.plan.space.baseline()
    assert baseline is not None
    assert third == study.plan.space.overrides(baseline)
    before = outcome(study)
    again = new_study(tmp_path, **search)
    work(again, search_settings(**search), make_services())
    assert outcome(again) == before


def test_all_that_does_not_fit_is_told_at_once() -> None:
    wanted = [
        {"activation": "softsign"},
        {"hidden_sizes": [10**6]},
        {"hidden_sizes": 64},
        {"momentum": 0.9},
        {"l2_lambda": "x"},
    ]
    with pytest.raises(SettingsError) as caught:
        read_wanted(make_space(), wanted)
    told = caught.value.messages
    assert len(told) == len(wanted)
    for place, (message, one) in enumerate(zip(told, wanted, strict=True)):
        assert message.startswith(f"search.enqueue[{place}].{next(iter(one))}: ")
        assert "; expected" in message


@pytest.mark.parametrize("odd", [None, {}, [[]], float("nan"), 10**400, True, "x", [1, "a"], [-1]])
def test_no_value_ends_in_a_traceback(odd: Any) -> None:
    space = make_space()
    for name in (*space.leaves(), "hidden_sizes"):
        try:
            (read,) = read_wanted(space, [{name: odd}])
        except SettingsError:
            continue
        assert space.with_values({}, read)

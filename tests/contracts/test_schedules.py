"""What every schedule must do; a new one is a row of SCHEDULES and a row of KEYWORDS."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpsweep.nn.schedules import SCHEDULES
from mlpsweep.settings import ScheduleSettings

KEYWORDS: dict[str, dict[str, Any]] = {
    "constant": {},
    "cosine": {"warmup_fraction": 0.2, "final_fraction": 0.1},
    "step": {"every_epochs": 2, "factor": 0.5},
}
each_schedule = pytest.mark.parametrize("name", sorted(SCHEDULES))


def test_the_settings_know_the_same_names_and_keywords() -> None:
    added = {
        name: {field.name for field in dataclasses.fields(member)} - {"name"}
        for name, member in ScheduleSettings.members.items()
    }
    assert added == {name: set(keywords) for name, keywords in KEYWORDS.items()}
    assert SCHEDULES.keys() == KEYWORDS.keys()


@each_schedule
@given(n_epochs=st.integers(1, 5), updates_per_epoch=st.integers(1, 7))
def test_factors_lie_above_zero_and_reach_one(name: str, n_epochs: int, updates_per_epoch: int) -> None:
    n_updates = n_epochs * updates_per_epoch
    factors = [SCHEDULES[name](u, n_updates, updates_per_epoch, **KEYWORDS[name]) for u in range(n_updates)]
    assert min(factors) > 0.0
    assert max(factors) == 1.0


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("constant", [1.0] * 10),
        # 2 of 10 updates rise: 1/2, 1; then 8 from 1 to 0.1 along 0.1 + 0.45 (1 + cos(pi k / 7)).
        ("cosine", [0.5, 1.0, 1.0, 0.955436, 0.830570, 0.650134, 0.449866, 0.269430, 0.144564, 0.1]),
        # Epochs of 2 updates, so 4 updates between drops.
        ("step", [1.0] * 4 + [0.5] * 4 + [0.25] * 2),
    ],
)
def test_known_factors(name: str, factors: list[float]) -> None:
    assert [SCHEDULES[name](u, 10, 2, **KEYWORDS[name]) for u in range(10)] == pytest.approx(factors, abs=1e-6)


def test_cosine_without_warmup_falls_from_one_to_zero() -> None:
    factors = [SCHEDULES["cosine"](u, 5, 1, warmup_fraction=0.0, final_fraction=0.0) for u in range(5)]
    assert factors == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.0], abs=1e-6)


def test_cosine_of_a_single_update_is_one() -> None:
    assert SCHEDULES["cosine"](0, 1, 1, warmup_fraction=0.0, final_fraction=0.0) == 1.0

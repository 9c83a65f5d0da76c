"""A real `mlflow server` fails in six ways during a training, and is away during a search: all arrives, once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.outages import KINDS, Relay, search, served, train

pytestmark = [pytest.mark.slow, pytest.mark.fault]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    with served(tmp_path_factory.mktemp("server")) as relay:
        yield relay
        relay.close()


@pytest.fixture(scope="module")
def port(relay: Relay) -> int:
    return relay.open()


@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_during_a_training_costs_no_point(kind: str, relay: Relay, port: int, tmp_path: Path) -> None:
    outcome = train(relay, port, kind, tmp_path, seed=len(kind), n_epochs=1000)
    assert outcome.n_points > 5000
    assert (outcome.n_missing, outcome.n_twice) == (0, 0)
    assert outcome.statuses == ("FINISHED",)


def test_an_outage_during_a_search_costs_no_trial(relay: Relay, port: int, tmp_path: Path) -> None:
    outcome = search(relay, port, "gone and back", tmp_path, seed=0)
    assert outcome.n_points > 50
    assert (outcome.n_missing, outcome.n_twice) == (0, 0)
    assert {"FINISHED"} <= set(outcome.statuses) <= {"FINISHED", "KILLED"}

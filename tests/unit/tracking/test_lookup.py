"""Runs are found by ids, folder, study and names; what is not there is told with the nearest name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.errors import SettingsError, StorageError
from mlpsweep.tracking.lookup import Runs, open_runs
from mlpsweep.tracking.settings import TrackingSettings
from mlpsweep.tracking.store import Store, open_store

pytestmark = [
    pytest.mark.slow,
    # What MLflow says to itself of SQLAlchemy's future.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]
FOLDER = "multirun/2026-01-31/12-00-00"


def settings(folder: Path, experiment: str | None = None) -> TrackingSettings:
    return TrackingSettings(experiment=experiment, uri=f"sqlite:///{folder}/mlflow.db")


def add_sweep(store: Store, name: str, tags: Mapping[str, str], n_jobs: int) -> tuple[str, list[str]]:
    """Add a parent with its jobs; each job has the tags of its sweep, as a search's trials have."""
    parent = store.start_run(name, tags=tags)
    jobs = [
        store.start_run(f"{name} {k}", tags=tags, params={"seed": k, "patience": None}, parent_id=parent.run_id)
        for k in range(n_jobs)
    ]
    return parent.run_id, [job.run_id for job in jobs]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[str, list[str]]]]:
    folder = tmp_path_factory.mktemp("lookup")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with open_store(settings(folder), "mnist") as mnist, open_store(settings(folder), "digits") as digits:
            sweeps = {
                "older": add_sweep(mnist, "sweep older", {"sweep": FOLDER}, 1),
                "folder": add_sweep(mnist, "sweep a,b", {"sweep": FOLDER}, 3),
                "study": add_sweep(digits, "search digits-1234", {"sweep": "digits-1234"}, 2),
            }
    return folder, sweeps


@pytest.fixture
def runs(home: tuple[Path, object], monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.chdir(home[0])
    return open_runs(settings(home[0]))


@pytest.mark.parametrize(
    ("name", "sweep"),
    [(FOLDER, "folder"), (f"./{FOLDER}/", "folder"), ("sweep a,b", "folder"), ("digits-1234", "study")],
    ids=["folder", "folder as a shell completes it", "run name", "study"],
)
def test_a_sweep_has_its_jobs_the_newest_of_its_name(
    home: tuple[Path, dict[str, tuple[str, list[str]]]], runs: Runs, name: str, sweep: str
) -> None:
    assert [run.run_id for run in runs.of_sweep(name)] == home[1][sweep][1]


def test_the_jobs_of_a_sweep_are_read_once(
    home: tuple[Path, dict[str, tuple[str, list[str]]]], runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, search = list[str](), runs.client.search_runs

    def counting(*words: Any, **options: Any) -> Any:
        page = search(*words, **options)
        read.extend(run.info.run_id for run in page)
        return page

    monkeypatch.setattr(runs.client, "search_runs", counting)
    runs.of_sweep(FOLDER)
    jobs = home[1]["older"][1] + home[1]["folder"][1]
    assert sorted(one for one in read if one in jobs) == sorted(home[1]["folder"][1])


def test_a_parents_id_is_a_name_of_its_sweep(home: tuple[Path, dict[str, tuple[str, list[str]]]], runs: Runs) -> None:
    parent, jobs = home[1]["older"]
    assert [run.run_id for run in runs.of_sweep(parent)] == jobs


def test_runs_have_their_params(home: tuple[Path, dict[str, tuple[str, list[str]]]], runs: Runs) -> None:
    _, (first, second, _) = home[1]["folder"]
    assert [run.params["seed"] for run in runs.of_ids([second, first])] == ["1", "0"]


def test_an_unknown_sweep_is_told_with_the_nearest_name(runs: Runs) -> None:
    with pytest.raises(SettingsError, match=r"sweep: 'digits-1243' is not in sqlite.*did you mean digits-1234\?"):
        runs.of_sweep("digits-1243")


def test_a_quote_in_a_name_is_only_a_character(runs: Runs) -> None:
    with pytest.raises(SettingsError, match="it's"):
        runs.of_sweep("it's' or 1=1")


def test_each_unknown_id_is_told(home: tuple[Path, dict[str, tuple[str, list[str]]]], runs: Runs) -> None:
    with pytest.raises(SettingsError) as caught:
        runs.of_ids(["0" * 32, home[1]["older"][0], "1" * 32])
    assert [message.split()[1] for message in caught.value.messages] == ["0" * 32, "1" * 32]


def test_an_experiment_narrows_the_search(home: tuple[Path, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home[0])
    with pytest.raises(SettingsError, match="'digits-1234' is not in"):
        open_runs(settings(home[0], "mnist")).of_sweep("digits-1234")


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="mlflow.db is not there; expected a store with runs"):
        open_runs(settings(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_stopped_early_shows_the_epoch_of_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(settings(tmp_path), "digits")
    ids = []
    for patience in (None, 2):
        run = store.start_run("a training", tags={}, params={"patience": patience})
        for epoch, accuracy in enumerate((0.8, 0.9, 0.7), 1):
            run.log_metrics({"validation/accuracy": accuracy}, step=epoch)
        run.log_metrics({"epoch_of_weights": 2, "test/accuracy": 0.88})
        ids.append(run.run_id)
    assert store.queue.drain() == 0
    last, best = open_runs(settings(tmp_path)).of_ids(ids)
    assert (last.metrics["validation/accuracy"], best.metrics["validation/accuracy"]) == (0.7, 0.9)
    assert best.metrics["test/accuracy"] == 0.88

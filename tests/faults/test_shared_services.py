"""Hosts that share two addresses, a PostgreSQL and an MLflow server: no folder of one is seen by another."""

import contextlib
import os
import signal
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.doors import door, tracked
from tests.pipeline.processes import Running, end_of, environment_of, mlflow_server, started, wait_until
from tests.postgres import new_database

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.postgres]
N_TRIALS, N_EPOCHS = 7, 8  # rungs after 1 and 3
SEARCH = (
    "data=digits", f"n_epochs={N_EPOCHS}", "batch_size=2", "hidden_sizes=[64]", "search.study=shared",
    "space.dimensions.hidden_sizes.width.low=32", "space.dimensions.hidden_sizes.width.high=64",
    "search.sampler=random", f"search.n_trials={N_TRIALS}", "winner.top_k=2", "winner.n_seeds=2",
)  # fmt: skip
OUTCOME = ("summary.json", "trials.csv", "recipe/winner.yaml")


@dataclass(frozen=True)
class Services:
    """What hosts share: two addresses. ``folder`` is the tracking server's own."""

    storage: str
    tracking: str
    folder: Path
    experiment: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def environment(self) -> dict[str, str]:
        tracked_in = {"MLFLOW_TRACKING_URI": self.tracking, "MLFLOW_EXPERIMENT_NAME": self.experiment}
        return {"MLPSWEEP_STORAGE": self.storage, **tracked_in}

    def search(self, host: Path, *words: str) -> contextlib.AbstractContextManager[Running]:
        host.mkdir(exist_ok=True)
        return started(host, "search", *SEARCH, *words, **self.environment)

    def stored(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the studies' database."""
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(self.storage) as connection:
            try:
                return list(connection.execute(query))
            except psycopg.errors.UndefinedTable:
                return []

    def runs(self, what: str, more: str = "") -> list[tuple[Any, ...]]:
        """What the tracking server holds of the runs of this test."""
        mine = f"experiment_id = (select experiment_id from experiments where name = '{self.experiment}')"
        return tracked(self.folder, f"select {what} from runs where {mine} {more}")

    def points_logged_twice(self) -> list[tuple[Any, ...]]:
        return tracked(self.folder, "select run_uuid, key, step from metrics group by 1, 2, 3 having count(*) > 1")

    def artifact(self, run_id: str, name: str) -> bytes:
        with urllib.request.urlopen(f"{self.tracking}/get-artifact?path={name}&run_uuid={run_id}") as answer:
            return bytes(answer.read())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder) as (address, _):
        yield address, folder


@pytest.fixture
def services(server: tuple[str, Path]) -> Iterator[Services]:
    with new_database() as storage:
        yield Services(storage, *server)


def outcome(host: Path) -> list[bytes]:
    return [(host / "artifacts/digits/search" / name).read_bytes() for name in OUTCOME]


def check_runs(services: Services) -> None:
    """One run for the study, one for each trial and finalist, none at work, no point twice."""
    assert {status for (status,) in services.runs("status")} == {"FINISHED"}
    names = [name for (name,) in services.runs("name")]
    assert len([name for name in names if name.startswith("search ")]) == 1
    assert len(names) == len(set(names)) == 1 + N_TRIALS + 2  # a finalist's first seed is its trial's
    assert services.points_logged_twice() == []


def is_well_on(services: Services) -> bool:
    """Whether a trial that paused twice is on its way to the end."""
    query = "select count(*) from mlpsweep_lease join mlpsweep_report using (study, slot) where state = 'running'"
    return services.stored(f"{query} and epoch > 3") not in ([], [(0,)])


def histories(host: Path) -> dict[str, bytes]:
    folders = host.glob("mlruns/studies/shared/trials/*/history.csv")
    return {file.parent.name: file.read_bytes() for file in folders}


def test_a_host_without_the_others_folder_ends_their_trials_with_the_same_bits(
    services: Services, tmp_path: Path
) -> None:
    first, second, alone = (tmp_path / name for name in ("first", "second", "alone"))
    with services.search(first) as process:
        wait_until(lambda: is_well_on(services), process)
        os.killpg(process.pid, signal.SIGKILL)
    with services.search(second) as process:
        ended = end_of(process)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    alone.mkdir()
    with started(alone, "search", *SEARCH) as process:
        assert end_of(process).returncode == 0
    assert outcome(second) == outcome(alone)
    # One was taken from the dead worker, another was promoted; both were trained from their first epoch.
    assert histories(second).items() <= histories(alone).items()
    taken = {name for name, table in histories(second).items() if table.count(b"\n") == 1 + N_EPOCHS}
    assert len(taken) == 2
    assert any((first / f"mlruns/studies/shared/trials/{name}").is_dir() for name in taken)
    check_runs(services)
    for name in taken:
        ((run_id,),) = services.runs("run_uuid", f"and name like '{int(name)}: %'")
        assert services.artifact(run_id, "history.csv") == histories(second)[name]


def test_the_doctor_of_a_host_leaves_to_others_what_they_went_on_with(services: Services, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with services.search(first) as process:
        wait_until(lambda: is_well_on(services), process)
        os.killpg(process.pid, signal.SIGTERM)
        assert end_of(process).returncode == 143
    with services.search(second) as process:
        assert end_of(process).returncode == 0
    tags = "select * from tags where run_uuid in (select run_uuid from runs)"
    before = sorted(tracked(services.folder, tags))
    done = door(first, "doctor", "fix=true", **environment_of(**services.environment))
    assert done.returncode == 0, done.stdout
    assert sorted(tracked(services.folder, tags)) == before
    check_runs(services)


def test_two_hosts_at_once_share_the_work_and_write_the_same(services: Services, tmp_path: Path) -> None:
    hosts = [tmp_path / "first", tmp_path / "second"]
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(services.search(host)) for host in hosts]
        ends = [end_of(process) for process in processes]
    assert [end.returncode for end in ends] == [0, 0], [end.stderr for end in ends]
    assert outcome(hosts[0]) == outcome(hosts[1])
    assert all(map(histories, hosts))
    check_runs(services)
    secret = os.environ.get("PGPASSWORD", "").encode()
    if secret:
        told = "".join(end.stdout + end.stderr for end in ends).encode()
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert [path for path in files if secret in path.read_bytes()] == []
        assert secret not in told


def test_a_shared_folder_holds_the_checkpoints_of_all_hosts(services: Services, tmp_path: Path) -> None:
    shared, hosts = tmp_path / "shared", [tmp_path / "first", tmp_path / "second"]
    words = (f"search.folder={shared}", "search.n_trials=3")
    with services.search(hosts[0], *words) as process:
        wait_until(lambda: any(shared.rglob("epoch-*.ckpt")), process)
        os.killpg(process.pid, signal.SIGKILL)
    with services.search(hosts[1], *words) as process:
        assert end_of(process).returncode == 0
    assert [path for host in hosts for path in host.glob("mlruns/studies")] == []
    assert len(list(shared.glob("shared/trials/*/run.json"))) == 3
    # One may have paused before its first epoch's end.
    assert len(list(shared.glob("shared/trials/*/history.csv"))) >= 2

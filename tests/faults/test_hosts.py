"""Three hosts in one machine, two with workers and one with the services: cut off, killed, asleep, restarted."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlpsweep.files import read_json
from tests.faults.witness import NAMED, call_witness, check_witness
from tests.namespaces import Host, Network, Process, network
from tests.pipeline.doors import tracked
from tests.pipeline.processes import environment_of
from tests.servers import Postgres, postgres

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.postgres]
# A lease is also how long a database may be away; a restart takes a second or two on a busy machine.
LEASE_S, N_EPOCHS, LATE, PATIENCE_S = 4.0, 80, 60, 180.0
Held = tuple[int, str]
MANY = 900  # trials, so that however quick the machine there is work until all disturbances are over
# One row an update: a trial lasts two seconds at least.
SEARCH = (
    "data=digits", f"n_epochs={N_EPOCHS}", "batch_size=1", "hidden_sizes=[33]", "search.study=hosts",
    "space.dimensions.hidden_sizes.width.high=40", f"search.lease_s={LEASE_S}", "search.max_retries=100",
    "search.pruner=none", "search.sampler=random", "winner.top_k=1", "winner.n_seeds=2",
)  # fmt: skip
SERVER = ("server", "--workers", "1", "--port", "5000", "--host")
IS_UP = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + '/health', timeout=5)"


@dataclass
class Lab:
    """The hosts, the services, and the workers that were started."""

    root: Path
    hosts: Network
    database: Postgres
    workers: dict[str, Process] = field(default_factory=dict)

    @property
    def services(self) -> Host:
        return self.hosts.hosts[0]

    @property
    def environment(self) -> dict[str, str]:
        tracking = f"http://{self.services.address}:5000"
        stores = {"MLPSWEEP_STORAGE": self.database.url, "MLFLOW_TRACKING_URI": tracking}
        return environment_of(MLFLOW_DISABLE_TELEMETRY="true", OPENBLAS_NUM_THREADS="1", **stores)

    def start_tracking(self) -> None:
        program, folder = str(Path(sys.executable).with_name("mlflow")), self.root / "services"
        words = [program, *SERVER, self.services.address]
        quiet = self.environment | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.services.start(words, folder, quiet, self.root / "server.log")
        asks = [*self.services.prefix, sys.executable, "-c", IS_UP, self.environment["MLFLOW_TRACKING_URI"]]
        wait_until(lambda: subprocess.run(asks, capture_output=True, check=False).returncode == 0)

    def start_worker(self, name: str, host: Host, n_trials: int) -> None:
        words = [*NAMED, sys.executable, "-m", "pipeline.search", *SEARCH, f"search.n_trials={n_trials}"]
        log = self.root / f"{name}.log"
        self.workers[name] = host.start(words, self.root / host.name, self.environment, log)

    def owned(self, name: str, n_epochs: int = 1) -> Held | None:
        """The slot that a worker has, and its name in the study; None if it has none, or fewer reports of it."""
        inner = self.workers[name].inner_pid
        known = f"select slot from mlpsweep_report group by slot having count(distinct epoch) >= {n_epochs}"
        query = f"select slot, owner from mlpsweep_lease where state = 'running' and slot in ({known})"
        for slot, owner in self.database.rows(query):
            _, host, _, _, pid, _ = owner.split(" ")
            if pid == inner and name.startswith(host):
                return slot, owner
        return None

    def at_work(self, name: str, n_epochs: int = 1) -> None:
        """Wait until a worker has a slot of which so many epochs are reported."""

        def is_at_work() -> bool:
            process = self.workers[name]
            assert process.way.poll() is None, f"{name}: {process.log.read_text()}"
            return self.owned(name, n_epochs) is not None

        wait_until(is_at_work)

    def wait_until_lost(self, slot: int, owner: str) -> None:
        """Wait until another worker has the slot, or has ended it."""
        query = (
            f"select count(*) from mlpsweep_lease where slot = {slot} and study not like '%/%' and owner = '{owner}'"
        )
        wait_until(lambda: self.database.rows(query) == [(0,)])

    def silence(self, name: str, begin: Callable[[], None], end: Callable[[], None], n_epochs: int = 1) -> Held:
        """Silence a worker at a trial, or its host, wherever it is; return its slot and its name in the study."""
        while True:
            self.at_work(name, n_epochs)
            begin()
            time.sleep(0.2)  # what it had asked is answered by then
            if held := self.owned(name, n_epochs):
                return held
            end()

    def n_trained(self, host: str, slot: int) -> int:
        """The newest epoch of which a host has a checkpoint."""
        files = self.root.glob(f"{host}/mlruns/studies/*/trials/{slot:04d}/checkpoints/epoch-*.ckpt")
        return max((int(file.stem.partition("-")[2]) for file in files), default=0)

    def slots(self) -> dict[int, str]:
        """The state of each slot."""
        return dict(self.database.rows("select slot, state from mlpsweep_lease where study not like '%/%'"))


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def test_hosts_cut_off_killed_asleep_and_a_restarted_database_lose_nothing(tmp_path: Path) -> None:
    with (
        network("services", "first", "second") as hosts,
        postgres(hosts.hosts[0].address, hosts.hosts[0].prefix) as one,
    ):
        lab = Lab(tmp_path, hosts, one)
        lab.start_tracking()
        call_witness(one)
        _, first, second = hosts.hosts
        for name, host in (("first-1", first), ("first-2", first), ("second-1", second), ("second-2", second)):
            lab.start_worker(name, host, MANY)
        disturb(lab, first)
        stop(lab, ("first-1", "second-2"))
        n_trials = len(lab.slots())
        for name, host in (("first-3", first), ("second-3", second)):
            lab.start_worker(name, host, n_trials)
        ends = [lab.workers[name].wait(PATIENCE_S) for name in ("first-3", "second-3")]
        assert [code for code, _ in ends] == [0, 0], ends
        check_study(lab, n_trials)
        check_witness(one)
        check_runs(tmp_path / "services", n_trials)
    written = [tmp_path / host.name / "artifacts/digits/search" for host in (first, second)]
    for file in ("trials.csv", "recipe/winner.yaml"):
        assert (written[0] / file).read_bytes() == (written[1] / file).read_bytes()
    assert read_json(written[0] / "summary.json") == read_json(written[1] / "summary.json")


def stop(lab: Lab, names: tuple[str, ...]) -> None:
    """Tell workers to end; each must have lived until now."""
    for name in names:
        assert lab.workers[name].way.poll() is None, lab.workers[name].log.read_text()
        lab.workers[name].signal(signal.SIGTERM)
    ends = {name: lab.workers[name].wait(PATIENCE_S) for name in names}
    assert {code for code, _ in ends.values()} == {143}, ends
    assert not any("Traceback" in said for _, said in ends.values()), ends


def disturb(lab: Lab, first: Host) -> None:
    """Restart the database five times, put a worker to sleep, kill one, stop one, cut a host off, and sleep again."""
    for name in lab.workers:
        lab.at_work(name)
    lab.database.restart()
    wake(lab, "second-2", fall_asleep(lab, "second-2"))
    lab.database.restart()
    lab.at_work("first-2")
    lab.workers["first-2"].signal(signal.SIGKILL)
    lab.database.restart()
    stop(lab, ("second-1",))
    cut_off(lab, first)
    lab.database.restart()
    for name in ("first-1", "second-2"):
        lab.at_work(name)
    lab.database.restart()


def fall_asleep(lab: Lab, name: str) -> Held:
    process = lab.workers[name]
    return lab.silence(name, lambda: process.signal(signal.SIGSTOP), lambda: process.signal(signal.SIGCONT))


def wake(lab: Lab, name: str, held: Held) -> None:
    """Wake a worker when another has its trial; it takes another one."""
    lab.wait_until_lost(*held)
    lab.workers[name].signal(signal.SIGCONT)
    wait_until(lambda: (now := lab.owned(name)) is not None and now[0] != held[0])


def cut_off(lab: Lab, first: Host) -> None:
    """Cut a host off late in a trial, which the other host trains again, falls asleep at, and loses.

    It notices while it trains epochs that were reported already: nothing that it has to write would tell it.
    """
    unplug, plug = (lambda is_in=is_in: lab.hosts.plug(first, is_in=is_in) for is_in in (False, True))
    lost = lab.silence("first-1", unplug, plug, LATE)
    lab.wait_until_lost(*lost)
    held = fall_asleep(lab, "second-2")
    n_before = lab.n_trained("second", held[0])
    assert held[0] == lost[0], (held, lost)
    assert n_before < LATE / 4 * 3
    plug()
    wake(lab, "second-2", held)
    assert lab.n_trained("second", held[0]) - n_before < (LATE - n_before) / 2


def check_study(lab: Lab, n_trials: int) -> None:
    """Each slot is complete, once, with a value for each epoch; Optuna shows each once."""
    assert lab.slots() == dict.fromkeys(range(n_trials), "complete")
    epochs: dict[Any, int] = dict(
        lab.database.rows("select slot, count(distinct epoch) from mlpsweep_report group by 1")
    )
    assert epochs == dict.fromkeys(range(n_trials), N_EPOCHS)
    shown = lab.database.rows(
        "select state::text, count(*) from trials where trial_id not in "
        "(select trial_id from trial_user_attributes where key = 'stray') group by 1"
    )
    assert shown == [("COMPLETE", n_trials)]
    assert lab.database.rows("select count(*) from trials where state::text = 'RUNNING'") == [(0,)]


def check_runs(folder: Path, n_trials: int) -> None:
    """The server has one run for each trial, FINISHED, with each epoch's value, and none that differs."""
    assert tracked(folder, "select distinct status from runs") == [("FINISHED",)]
    trials = Counter(number for (number,) in tracked(folder, "select value from tags where key = 'trial'"))
    assert trials == dict.fromkeys(map(str, range(n_trials)), 1)
    assert len(tracked(folder, "select 1 from runs where name like 'search %'")) == 1
    points = "select run_uuid, count(distinct step), count(distinct value || ' ' || step) from metrics"
    of_trials = "run_uuid in (select run_uuid from tags where key = 'trial') and key = 'validation/accuracy'"
    for _, n_steps, n_values in tracked(folder, f"{points} where {of_trials} group by 1"):
        assert (n_steps, n_values) == (N_EPOCHS, N_EPOCHS)

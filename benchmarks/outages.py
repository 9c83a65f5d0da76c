"""What a failing tracking server costs: points and trials in a real `mlflow server` after outages of six kinds.

    python -m benchmarks.outages [--rounds 10] [--seed 0] [--kind "answers cut"] [--work search] [--short]

A relay stands before the server and misbehaves for some seconds at a random moment of a training, or of a search.
Afterwards, and after the doctor, every point of the folder must be in the store, and none twice.
"""

import argparse
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from mlpsweep.tracking.points import recorded_points
from mlpsweep.training.folder import TrainingFolder

ROOT: Final = Path(__file__).resolve().parents[1]
TRAIN: Final = ("data=digits", "hidden_sizes=[16]", "learning_rate=0.01", "log_every=20", "activation=relu")
# Rounds share a server, so a trial could be taken from another round's.
SEARCH: Final = ("data=digits", "n_epochs=3", "search.n_trials=12", "search.n_workers=2", "winner.n_seeds=1",
                 "search.reuse=false")  # fmt: skip
LOGGING: Final = "/api/2.0/mlflow/runs/log-batch"


@dataclass
class Relay:
    """Hands requests on to a server, unless told otherwise.

    Parameters
    ----------
    port : int
        Of the server behind.
    mode : str
        ``well``, ``unheard`` (answers to log-batch are cut off), ``slow`` (2 s a request), ``error`` (500 without
        asking the server), ``silent`` (no answer at all) or ``gone`` (connections are refused).
    """

    port: int
    mode: str = "well"
    listener: ThreadingHTTPServer | None = None

    def open(self, port: int = 0) -> int:
        """Listen, and return on which port."""
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def relayed(self) -> None:
                relay.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = relayed  # noqa: N815 - names of http.server

            def log_message(self, format: str, *words: object) -> None:
                pass

        ThreadingHTTPServer.daemon_threads = True
        ThreadingHTTPServer.allow_reuse_address = True
        self.listener = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.listener.serve_forever, args=(0.05,), daemon=True).start()
        return int(self.listener.server_address[1])

    def close(self) -> None:
        """Refuse connections."""
        if self.listener is not None:
            self.listener.shutdown()
            self.listener.server_close()
            self.listener = None

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Hand one request on, as the mode has it."""
        mode, body = self.mode, request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if mode == "silent":
            while self.mode == "silent":
                time.sleep(0.1)
            return
        if mode == "error":
            request.send_error(500)
            return
        if mode == "slow":
            time.sleep(2)
        behind = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with closing(behind), suppress(OSError, http.client.HTTPException):
            headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
            behind.request(request.command, request.path, body, headers)
            found = behind.getresponse()
            content = found.read()
            if mode == "unheard" and request.path.startswith(LOGGING):
                request.connection.shutdown(socket.SHUT_RDWR)
                return
            request.send_response(found.status)
            for name, value in found.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    request.send_header(name, value)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)


KINDS: Final = {"answers cut": ("unheard", 4.0), "gone and back": ("gone", 5.0), "gone for good": ("gone", 1e9),
                "2 s a request": ("slow", 1e9), "500s": ("error", 4.0), "silent": ("silent", 10.0)}  # fmt: skip
"""What happens to the server, and for how many seconds."""


@dataclass(frozen=True)
class Outcome:
    """What one outage left: points that the folder has, that the store lacks, and that it has twice."""

    n_points: int
    n_missing: int
    n_twice: int
    seconds_after: float
    statuses: tuple[str, ...]


def train(relay: Relay, port: int, kind: str, folder: Path, seed: int, n_epochs: int) -> Outcome:
    """Train once with an outage at a random moment; the store is looked at when the doctor has been."""
    mode, seconds = KINDS[kind]
    at_s = random.Random(seed).uniform(0.3, 2.0)
    words = ["pipeline.train", *TRAIN, f"seed={seed}", f"n_epochs={n_epochs}", "output_dir=model"]
    with door(folder, port, *words) as process:
        wait_for(lambda: TrainingFolder(folder / "model").record() is not None, process)
        time.sleep(at_s)
        disturb(relay, mode, port)
        ended = threading.Timer(min(seconds, 3600), lambda: mend(relay, port))
        ended.daemon = True
        ended.start()
        process.wait(600)
        now = time.time()
        ended.cancel()
    mend(relay, port)
    after_s = now - max(path.stat().st_mtime for path in TrainingFolder(folder / "model").outputs)
    heal(folder, port)
    record = TrainingFolder(folder / "model").record()
    assert record is not None
    return compared(port, {record.run_id: TrainingFolder(folder / "model")}, after_s)


def search(relay: Relay, port: int, kind: str, folder: Path, seed: int) -> Outcome:
    """Search once with an outage at a random moment."""
    mode, seconds = KINDS[kind]
    at_s = random.Random(seed).uniform(2.0, 6.0)
    with door(folder, port, "pipeline.search", *SEARCH, f"seed={seed}") as process:
        wait_for(lambda: any(folder.glob("mlruns/studies/*/trials/*")), process)
        time.sleep(at_s)
        disturb(relay, mode, port)
        timer = threading.Timer(min(seconds, 3600), lambda: mend(relay, port))
        timer.daemon = True
        timer.start()
        process.wait(600)
        timer.cancel()
    mend(relay, port)
    heal(folder, port)
    trials = {path.name: TrainingFolder(path) for path in sorted(folder.glob("mlruns/studies/*/trials/*"))}
    runs = {run["info"]["run_id"]: tags_of(run) for run in found_runs(port)}
    ours = {run_id: tags for run_id, tags in runs.items() if tags.get("folder", "").startswith(str(folder))}
    by_folder = {run_id: TrainingFolder(Path(tags["folder"])) for run_id, tags in ours.items()}
    by_folder = {run_id: one for run_id, one in by_folder.items() if one.path.name in trials}
    lost = len(trials) - len({one.path for one in by_folder.values()})
    outcome = compared(port, by_folder, 0.0)
    return Outcome(outcome.n_points, outcome.n_missing + lost, outcome.n_twice, 0.0, outcome.statuses)


def compared(port: int, folders: dict[str, TrainingFolder], after_s: float) -> Outcome:
    """Hold what the folders record against what the server has."""
    n_points = n_missing = n_twice = 0
    statuses = []
    for run_id, folder in folders.items():
        points = recorded_points(folder) if folder.histories() else []
        n_points += len(points)
        for name in {point[0] for point in points}:
            query = f"/api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key={name}"
            steps = [int(point.get("step", 0)) for point in ask(port, query).get("metrics", ())]
            n_missing += len({step for known, _, step, _ in points if known == name} - {*steps})
            n_twice += len(steps) - len({*steps})
        statuses.append(ask(port, f"/api/2.0/mlflow/runs/get?run_id={run_id}")["run"]["info"]["status"])
    return Outcome(n_points, n_missing, n_twice, after_s, tuple(statuses))


def disturb(relay: Relay, mode: str, port: int) -> None:
    """Let the relay misbehave."""
    relay.mode = mode
    if mode == "gone":
        relay.close()


def mend(relay: Relay, port: int) -> None:
    """Let the relay behave again, on the same port."""
    relay.mode = "well"
    if relay.listener is None:
        relay.open(port)


def heal(folder: Path, port: int) -> None:
    """Let the doctor complete what is missing."""
    with door(folder, port, "pipeline.doctor", "fix=true") as process:
        process.wait(600)


@contextmanager
def door(folder: Path, port: int, module: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a door in a folder, with the relay for its server."""
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
    }
    command = [sys.executable, "-m", module, *words]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def ask(port: int, query: str, body: dict[str, Any] | None = None) -> Any:
    """Return the server's answer to a question."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{query}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def found_runs(port: int) -> list[dict[str, Any]]:
    """Return all runs of the experiment of the digits."""
    experiment = ask(port, "/api/2.0/mlflow/experiments/get-by-name?experiment_name=digits")["experiment"]
    body = {"experiment_ids": [experiment["experiment_id"]], "max_results": 1000}
    return list(ask(port, "/api/2.0/mlflow/runs/search", body).get("runs", ()))


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    """Return a run's tags by name."""
    return {tag["key"]: tag["value"] for tag in run["data"].get("tags", ())}


def wait_for(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until something holds, or the process ends."""
    while not holds() and process.poll() is None:
        time.sleep(0.05)


@contextmanager
def served(folder: Path) -> Iterator[Relay]:
    """Yield an open relay before a real server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        behind = probe.getsockname()[1]
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(behind), "--workers", "1"]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            for _ in range(600):
                with suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{behind}/health", timeout=5).close()
                    break
                time.sleep(0.1)
            yield Relay(behind)
        finally:
            os.killpg(server.pid, 9)
            server.wait()


def main() -> None:
    """Print a row for each kind of outage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind; may be given again")
    parser.add_argument("--work", choices=("train", "search"), help="only this work")
    parser.add_argument("--short", action="store_true", help="shorter trainings, and a search for two kinds only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, served(Path(root)) as relay:
        port = relay.open()
        print(f"{'outage':<16}{'work':<8}{'seeds':<10}{'points':>8}{'missing':>9}{'twice':>7}{'s after':>9}  ended")
        for kind in options.kind or KINDS:
            for work in (options.work,) if options.work else ("train", "search"):
                if work == "search" and options.short and kind != "gone and back":
                    continue
                outcomes = []
                for seed in range(options.seed, options.seed + options.rounds):
                    folder = Path(root, f"{kind} {work} {seed}".replace(" ", "-"))
                    folder.mkdir()
                    if work == "train":
                        outcomes.append(train(relay, port, kind, folder, seed, 1000 if options.short else 3000))
                    else:
                        outcomes.append(search(relay, port, kind, folder, seed))
                print(row(kind, work, options.seed, outcomes), flush=True)


def row(kind: str, work: str, seed: int, outcomes: list[Outcome]) -> str:
    """Return one line of the table."""
    ended = sorted({status for outcome in outcomes for status in outcome.statuses})
    seeds = f"{seed}..{seed + len(outcomes) - 1}"
    sums = [sum(getattr(o, name) for o in outcomes) for name in ("n_points", "n_missing", "n_twice")]
    after = max(outcome.seconds_after for outcome in outcomes)
    return f"{kind:<16}{work:<8}{seeds:<10}{sums[0]:>8}{sums[1]:>9}{sums[2]:>7}{after:>9.1f}  {' '.join(ended)}"


if __name__ == "__main__":
    main()

"""Whole workers: the search command itself, once for each, with real trainings and a real ``mlflow server``.

Every worker is a host of its own: it shares two addresses with the others, or two files beside this benchmark. What its
trials take is timed at the calls between search, ledger, tracker and training. ``idle`` is what is no training.

    python -m benchmarks.whole --workers 1,2,4,8 --trials 24 [--sqlite] [WORD ...]

Further words are those of pipeline.search, ``data=digits`` and a small space unless others are given.
"""

import argparse
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.events import percentile

ROOT: Final = Path(__file__).resolve().parents[1]
SMALL: Final = ("data=digits", "n_epochs=8", "space.dimensions.hidden_sizes.width.high=64")
COMMON: Final = (
    "search.study=whole", "search.sampler=random", "search.pruner=none", "search.reuse=false", "winner.top_k=1",
    "winner.n_seeds=1", "output_dir=found",
)  # fmt: skip
TRAINING: Final = "training"
INSIDE: Final = ("report", "log epoch", "checkpoint")
"""What is called while a training runs, and is none."""


def timed(seconds: dict[str, list[tuple[float, float]]], owner: Any, name: str, label: str) -> None:
    """Let a function tell when it was called and how long it took."""
    call: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(call)
    def timing(*args: Any, **kwargs: Any) -> Any:
        began, at = time.perf_counter(), time.time()
        try:
            return call(*args, **kwargs)
        finally:
            seconds.setdefault(label, []).append((at, time.perf_counter() - began))

    setattr(owner, name, timing)


def be_worker(out: Path, words: list[str]) -> None:
    """Be ``pipeline.search`` with these words, and write what took how long."""
    from mlpsweep.search import run
    from mlpsweep.search.ledger import Ledger
    from mlpsweep.tracking.trial_runs import TrialRecorder, TrialRun
    from mlpsweep.training.checkpoint import CheckpointStore
    from pipeline.door import enter

    seconds: dict[str, list[tuple[float, float]]] = {}
    for name in ("claim", "propose", "report", "tell"):
        timed(seconds, Ledger, name, name)
    for owner, name, label in (
        (TrialRecorder, "open_trial", "open run"), (TrialRun, "log_epoch", "log epoch"),
        (TrialRun, "close", "close run"),
        (CheckpointStore, "save", "checkpoint"), (run, "run_training", TRAINING),
    ):  # fmt: skip
        timed(seconds, owner, name, label)
    sys.argv[1:] = words
    try:
        enter("pipeline.search")
    finally:
        out.write_text(json.dumps(seconds))


def measure(
    folder: Path, environment: dict[str, str], words: list[str], n_workers: int, n_trials: int
) -> dict[str, Any]:
    """Return one point: trials a second, idle share, latencies in milliseconds."""
    hosts = [folder / f"{n_workers}-host{number}" for number in range(n_workers)]
    count = [
        f"search.n_trials={n_trials}",
        *([] if "MLPSWEEP_STORAGE" in environment else [f"search.storage=sqlite:///{folder}/optuna{n_workers}.db"]),
    ]
    started = []
    for host in hosts:
        host.mkdir()
        command = [
            sys.executable,
            "-m",
            "benchmarks.whole",
            "--be",
            str(host / "seconds.json"),
            *COMMON,
            *words,
            *count,
        ]
        paths = {"PYTHONPATH": f"{ROOT}", **environment}
        started.append(
            subprocess.Popen(
                command, cwd=host, env={**os.environ, **paths}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        )
    for process in started:
        _, errors = process.communicate()
        if process.returncode:
            sys.exit(errors.decode())
    return point(n_workers, [json.loads((host / "seconds.json").read_text()) for host in hosts])


def point(n_workers: int, parts: list[dict[str, list[tuple[float, float]]]]) -> dict[str, Any]:
    # From when the last one has begun until the first one has no more; the first trial of each opens connections.
    began = max(part["tell"][0][0] + part["tell"][0][1] for part in parts)
    ended = min(part["tell"][-1][0] + part["tell"][-1][1] for part in parts)
    kept = [
        {name: [took for at, took in times if began <= at < ended] for name, times in part.items()} for part in parts
    ]
    total = {name: [one for part in kept for one in part.get(name, [])] for name in parts[0]}
    training_s = sum(total[TRAINING]) - sum(sum(total.get(name, [])) for name in INSIDE)
    return {
        "workers": n_workers,
        "trials_s": len(total["tell"]) / (ended - began),
        "counted": len(total["tell"]),
        "idle": 1.0 - training_s / ((ended - began) * n_workers),
        "training_s": [percentile(total[TRAINING], share) / 1000 for share in (0, 50, 100)],
        "ms": {name: [percentile(times, share) for share in (50, 99)] for name, times in total.items()},
        "s_a_trial": {name: sum(times) / len(total["tell"]) for name, times in total.items()},
    }


@contextlib.contextmanager
def mlflow_server(folder: Path, *options: str) -> Iterator[str]:
    """Serve a store on a free port with four processes; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir()
    words = [sys.executable, "-m", "mlflow", "server", "--port", str(port), *options]
    words += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True) as server,
    ):
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGKILL)


@contextlib.contextmanager
def services(folder: Path, is_sqlite: bool) -> Iterator[Callable[[], dict[str, str]]]:
    """Yield what gives the environment of hosts that share a new study, on a server or beside one."""
    from tests.servers import postgres

    with contextlib.ExitStack() as stack:
        if is_sqlite:
            address = stack.enter_context(mlflow_server(folder / "server"))
            yield lambda: {"MLFLOW_TRACKING_URI": address}
            return
        import psycopg

        server, numbers = stack.enter_context(postgres()), iter(range(10**6))

        def made(name: str) -> str:
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            return f"{server.url.rpartition('/')[0]}/{name}"

        store = made("mlflow").replace("postgresql:", "postgresql+psycopg:")
        address = stack.enter_context(mlflow_server(folder / "server", "--backend-store-uri", store))
        yield lambda: {"MLFLOW_TRACKING_URI": address, "MLPSWEEP_STORAGE": made(f"studies{next(numbers)}")}


def main() -> None:
    if sys.argv[1:2] == ["--be"]:
        return be_worker(Path(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="1,2,4,8")
    parser.add_argument("--trials", type=int, default=24, help="for each worker")
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("words", nargs="*", default=SMALL)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="whole-") as name, services(Path(name), asked.sqlite) as fresh:
        for n_workers in map(int, asked.workers.split(",")):
            done = measure(Path(name), fresh(), list(asked.words), n_workers, asked.trials * n_workers)
            print(json.dumps({"database": "sqlite" if asked.sqlite else "postgresql", **done}), flush=True)
    return None


if __name__ == "__main__":
    main()

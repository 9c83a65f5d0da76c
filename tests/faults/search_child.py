"""A search as a process of its own: ``main`` with a folder and options.

Notes each trial it starts in ``started.log``, each result once the study has acknowledged it in ``acked.log``, and
its own process in ``pids.log``, so that a test can tell what must be there whatever it killed.
"""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from mlpsweep.errors import DataError
from mlpsweep.search.ledger import Ledger
from mlpsweep.search.study import Study
from mlpsweep.search.supervisor import supervise
from mlpsweep.search.worker import SearchEnd, work
from mlpsweep.settings import TrainSettings
from tests.search_lab import DiskBook, make_plan, make_services, make_trainer, new_study, search_settings

POISON = 0.29  # a learning rate that some trials have


def note(root: Path, name: str, text: str) -> None:
    descriptor = os.open(root / name, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
    os.write(descriptor, f"{text}\n".encode())
    os.fsync(descriptor)
    os.close(descriptor)


def birth(pid: int) -> str | None:
    """When a process was started, in the kernel's ticks; None if it is not, or no more than a zombie.

    With its number it names a process for good: numbers are given out again.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else fields[18]


def open_it(root: Path, options: dict[str, Any]) -> Study:
    return new_study(root, make_plan(n_epochs=options.get("n_epochs", 3)), **options["search"])


def be_worker(root: Path, options: dict[str, Any]) -> SearchEnd:
    """One worker; what a supervisor starts, too."""
    note(root, "pids.log", f"{os.getpid()} {birth(os.getpid())}")
    if options.get("broken"):
        raise DataError("data: nothing there; expected data. Fetch it")
    tell = Ledger.tell

    def telling(ledger: Ledger, claim: Any, *arguments: Any) -> None:
        tell(ledger, claim, *arguments)
        note(root, "acked.log", str(claim.number))

    setattr(Ledger, "tell", telling)  # noqa: B010 - typed as a method that is never replaced
    study = open_it(root, options)

    def on_start(settings: TrainSettings) -> None:
        note(root, "started.log", json.dumps(settings.learning_rate))
        if settings.learning_rate > options.get("deadly_above", 1e9):
            os.kill(os.getpid(), signal.SIGKILL)

    services = make_services(make_trainer(on_start, epoch_s=options.get("epoch_s", 0.0)), DiskBook())
    return work(study, search_settings(**options["search"]), services)


def main(root: Path, options: dict[str, Any]) -> None:
    settings = search_settings(**options["search"])
    if "start_at" in options:
        time.sleep(max(0.0, options["start_at"] - time.time()))
    if settings.n_workers == 1:
        outcome = be_worker(root, options)
    else:
        outcome = supervise(open_it(root, options), settings, be_worker, (root, options), print)
    if outcome.signal is not None:
        signal.signal(outcome.signal, signal.SIG_DFL)
        signal.raise_signal(outcome.signal)

"""Runs whose process is gone, killed or switched off: they are RUNNING for ever unless somebody closes them."""

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from mlpsweep.tracking.endings import INTERRUPTED, STATE, STATUSES
from mlpsweep.tracking.project import is_running, judging, left_running, note_of, project_id, remove_left
from mlpsweep.tracking.run import INCOMPLETE, OUTPUTS, REASON, Status

if TYPE_CHECKING:
    from mlflow import MlflowClient

KILLED: Final = "killed"
"""The reason of a run whose process ended without a word."""
ENDS: Final = frozenset(get_args(Status))
PAGE: Final = 1000


def running(client: "MlflowClient", experiment_ids: Sequence[str], words: str = "") -> Iterator[Any]:
    """Yield the runs that are RUNNING, as the store tells them; ``words`` narrow the question."""
    token = None
    question = " and ".join(filter(None, ("attributes.status = 'RUNNING'", words)))
    while True:
        page = client.search_runs(list(experiment_ids), question, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def is_of(run: Any, root: Path) -> bool:
    """Return whether a run is of the project in ``root`` and of this host."""
    tags = run.data.tags
    return bool(tags.get("project") == project_id(root) and tags.get("host") == socket.gethostname())


def is_at_work(run: Any, root: Path) -> bool:
    """Return whether a process holds the run, in this folder or in that where it was started."""
    run_id, started_in = run.info.run_id, Path(run.data.tags.get("project_folder", root))
    return is_running(run_id, root) or is_running(run_id, started_in)


def is_abandoned(client: "MlflowClient", run: Any, root: Path) -> bool:
    """Return whether a run of this project on this host, found RUNNING, has lost its process.

    A process tells the store a run's end before it lets go of the run: the store is asked again after the lock.
    """
    if is_at_work(run, root):
        return False
    return bool(client.get_run(run.info.run_id).info.status == "RUNNING")


def close_abandoned(client: "MlflowClient", experiment_ids: Sequence[str], root: Path) -> list[str]:
    """Close this project's runs on this host whose process is gone, and return their ids.

    One whose training had ended gets the status that it had earned; any other is FAILED, its reason ``killed``.
    """
    closed = []
    with judging(root):
        for file in left_running(root):
            _heed(client, file)
        mine = f"tags.project = '{project_id(root)}'"
        for run in list(running(client, experiment_ids, mine)):
            if is_of(run, root) and is_abandoned(client, run, root):
                _close(client, run)
                closed.append(run.info.run_id)
    return closed


def _heed(client: "MlflowClient", file: Path) -> None:
    """Tag a run whose process could not send all of it, and end it as it ended there."""
    from mlflow.exceptions import MlflowException

    note, run_id = note_of(file), file.name
    if not note:
        return
    try:
        status = client.get_run(run_id).info.status
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return  # another store's
        raise
    client.set_tag(run_id, INCOMPLETE, str(note.get("records")))
    if status == "RUNNING" and note.get("status") in ENDS:
        if note.get("reason"):
            client.set_tag(run_id, REASON, str(note["reason"])[:5000])
        client.set_terminated(run_id, note["status"])
    remove_left(file)


def _close(client: "MlflowClient", run: Any) -> None:
    tags, run_id = run.data.tags, run.info.run_id
    # A trial that was interrupted once may have been at work again.
    earned = STATUSES.get(tags.get(STATE, "")) if tags.get(STATE) != INTERRUPTED else None
    earned = earned or ("FINISHED" if tags.get(OUTPUTS) == "true" else None)
    if earned is None:
        client.set_tag(run_id, REASON, KILLED)
    client.set_terminated(run_id, earned or "FAILED")

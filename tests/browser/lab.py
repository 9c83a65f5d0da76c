"""A headless Chromium, and something to look at: a sweep, a search, a report; for tests and screenshots."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.pipeline.doors import door, tracked

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
ACTIVATIONS = ("sigmoid", "tanh", "relu")


def chromium() -> str | None:
    """Return this machine's Chromium, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def launched(program: str) -> Iterator[Browser]:
    """Run Chromium without a window; it asks nobody for anything of its own accord."""
    # Its sandbox refuses to be root's.
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS, *root])
        try:
            yield browser
        finally:
            browser.close()


def fill(folder: Path, *words: str, search: tuple[str, ...] = (), baselines: tuple[str, ...] = ACTIVATIONS) -> None:
    """Sweep over the activations, search, evaluate and report: what ``dvc repro`` makes, its baselines from one sweep.

    Parameters
    ----------
    folder : Path
        An empty folder.
    *words : str
        Settings of every training.
    search : tuple of str
        Settings of the search alone.
    baselines : tuple of str
        Activations to be evaluated beside the winner.
    """
    run(folder, "train", "-m", *words, f"activation={','.join(ACTIVATIONS)}")
    (first,) = folder.glob("multirun/*/*/0")
    data = next((word for word in words if word.startswith("data=")), "data=mnist")
    artifacts = f"artifacts/{data.partition('=')[2]}"
    train = folder / artifacts / "train"
    train.mkdir(parents=True)
    for number, name in enumerate(ACTIVATIONS):
        job = first.with_name(str(number))
        shutil.copytree(job, train / name)
        shutil.copy(f"{job}.run.json", train / f"{name}.run.json")
    run(folder, "search", *words, *search)
    winner = ("--config-dir", f"{artifacts}/search", "recipe=winner", f"output_dir={artifacts}/train/winner")
    # The search chose the other settings.
    run(folder, "train", *(word for word in words if word.startswith(("data=", "n_epochs="))), *winner)
    for name in (*baselines, "winner"):
        run(folder, "evaluate", f"model_dir={artifacts}/train/{name}", f"output_dir={artifacts}/evaluate/{name}")
    run(folder, "report", data)


def family(folder: Path, prefix: str) -> tuple[str, tuple[str, ...]]:
    """Return the ids of the newest run whose name begins so and has children, and of its complete children."""
    children = "select run_uuid from tags where key = 'mlflow.parentRunId' and value = runs.run_uuid"
    parents = f"select run_uuid from runs where name like '{prefix}%' and exists ({children}) order by start_time desc"
    parent = tracked(folder, parents)[0][0]
    below = f"select run_uuid from tags where key = 'mlflow.parentRunId' and value = '{parent}'"
    stopped = "select run_uuid from tags where key = 'trial_state' and value != 'complete'"
    which = f"run_uuid in ({below}) and run_uuid not in ({stopped}) and status = 'FINISHED'"
    finished = tracked(folder, f"select run_uuid from runs where {which} order by start_time")
    return parent, tuple(run_id for (run_id,) in finished)


def run(folder: Path, *words: str) -> None:
    """Run a door that must succeed; its mirror is the machine's."""
    mirror = {name: os.environ[name] for name in ("MNIST_MIRROR",) if name in os.environ}
    done = door(folder, *words, **mirror)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stderr}"

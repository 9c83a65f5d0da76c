"""What commands cost beside the work they are typed for: seconds of the processor, as the operating system counts them.

Each command is a process of its own in a scratch project on the digits, systems in turns; medians. The 1,000 runs that
``compare`` gets are copies of one real run, each with another learning rate and a curve of 15 epochs.

    python -m benchmarks.costs [--rounds 5] [--before CHECKOUT]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.peers import ROOT

N_RUNS, N_EPOCHS = 1000, 15
TRAIN: Final = ("train", "data=digits", "activation=relu", "n_epochs=1")
MODEL: Final = "artifacts/digits/train/relu"
COMMANDS: Final[Mapping[str, Sequence[str]]] = {
    "train, one epoch on the digits": (*TRAIN, "reuse=false"),
    "train --help": ("train", "--help"),
    "evaluate": ("evaluate", f"model_dir={MODEL}", "output_dir=artifacts/digits/evaluate/relu"),
    "report": ("report", "paths.artifacts=artifacts/digits"),
    f"compare of {N_RUNS:,} runs": ("compare", "sweep=many"),
}


def seconds(checkout: Path, folder: Path, words: Sequence[str]) -> float:
    """Return what a command takes of the processor, with its children."""
    environment = os.environ | {"PYTHONPATH": f"{checkout / 'src'}{os.pathsep}{checkout}"}
    command = [sys.executable, "-m", f"pipeline.{words[0]}", *words[1:]]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)}: {said.decode()}")
    return used.ru_utime + used.ru_stime


def fill(folder: Path) -> None:
    """Give the store a sweep of many runs."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (experiment,) = (one for one in client.search_experiments() if one.name == "digits")
    run = client.search_runs([experiment.experiment_id])[0]
    parent = client.create_run(experiment.experiment_id, run_name="many").info.run_id
    tags = {name: value for name, value in run.data.tags.items() if name != "mlflow.runName"}
    for number in range(N_RUNS):
        one = client.create_run(experiment.experiment_id, run_name=f"run {number}").info.run_id
        params = run.data.params | {"learning_rate": str(0.001 + number / N_RUNS)}
        metrics = [
            Metric(name, value + epoch / 100, 0, epoch)
            for name, value in run.data.metrics.items()
            if name.startswith(("train/", "validation/"))
            for epoch in range(1, N_EPOCHS + 1)
        ]
        told = [RunTag(name, value) for name, value in (tags | {"mlflow.parentRunId": parent}).items()]
        client.log_batch(one, metrics, [Param(name, value) for name, value in params.items()], told)
        client.set_terminated(one)
    client.set_terminated(parent)


def measured(checkouts: Mapping[str, Path], n_rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of each command by system."""
    told: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="costs-") as name:
        folders = {system: Path(name) / system for system in checkouts}
        for system, folder in folders.items():
            folder.mkdir()
            first = seconds(checkouts[system], folder, (*TRAIN, f"output_dir={MODEL}"))
            told.setdefault("train, the first of a project", {})[system] = [first]
            fill(folder)
        for number in range(n_rounds):
            for what, words in COMMANDS.items():
                for system, folder in folders.items():
                    shutil.rmtree(folder / "artifacts/digits/report", ignore_errors=True)
                    more = (f"seed={number + 1}",) if words[:4] == TRAIN else ()
                    found = seconds(checkouts[system], folder, (*words, *more))
                    told.setdefault(what, {}).setdefault(system, []).append(found)
                    print(f"{what}, {system}: {found:.2f} s", file=sys.stderr)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="another checkout, measured beside this one")
    args = parser.parse_args()
    checkouts = {"this": ROOT} | ({"before": args.before.resolve()} if args.before else {})
    print(f"| command | {' | '.join(checkouts)} |\n|---{'|---' * len(checkouts)}|")
    for what, by_system in measured(checkouts, args.rounds).items():
        print(f"| {what} | {' | '.join(f'{statistics.median(by_system[name]):.2f} s' for name in checkouts)} |")


if __name__ == "__main__":
    main()

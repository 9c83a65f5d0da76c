"""Replay pruning rules on the learning curves of a search that pruned nothing, one trial after the other.

The figures show what a rule alone saves: here the proposals stay as they were, in a search they change.

    python -m benchmarks.replay [--target SHARE] FOLDER ...

Each FOLDER is the output of a search with search.pruner=none, such as artifacts/search, with times.csv beside it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mlpsweep.search.folder import SearchFolder
from mlpsweep.search.pruners import PRUNERS, Curve


def replay(name: str, curves: Sequence[Sequence[float]], target: float) -> tuple[int, int | None]:
    """Return the epochs spent on all trials, and those spent until an epoch reached the target, or None."""
    seen: list[dict[int, float]] = []
    spent, reached = 0, None
    for number, values in enumerate(curves):
        own: dict[int, float] = {}
        seen.append(own)
        for epoch, value in enumerate(values, 1):
            own[epoch], spent = value, spent + 1
            reached = spent if reached is None and value >= target else reached
            peers = {epoch: {k: past[epoch] for k, past in enumerate(seen) if epoch in past}}
            if epoch < len(values) and PRUNERS[name](Curve(number, len(values), own, peers.__getitem__)):
                break
    return spent, reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--target", type=float, default=0.98)
    args = parser.parse_args()
    for folder in args.folders:
        trials = SearchFolder(folder).trials()
        curves = [[value for _, value in trial.intermediate] for trial in trials]
        for name in PRUNERS:
            spent, reached = replay(name, curves, args.target)
            print(f"{folder} {name}: {spent} epochs, {args.target:.1%} after {reached or 'none of them'}")


if __name__ == "__main__":
    main()

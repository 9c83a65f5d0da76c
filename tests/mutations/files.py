"""Damage files at random and open a door that reads them: it may work, or end with a sentence, but never with a bug.

``python -m tests.mutations.files --n 500 --seed 1`` prints counts and exit codes; its own exit code is 1 if any door
ended with 1, hung, told an expected fault in more than one line, or changed the file it refused.
"""

import argparse
import collections
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.damage import KINDS
from tests.mutations.project import SEARCH, TINY, Ended, Project, run

RELU = "artifacts/digits/train/relu"
EVALUATE, VERIFY, REPORT = f"evaluate model_dir={RELU}", f"verify model_dir={RELU}", "report data=digits"
TRAIN = f"train {TINY} output_dir=again"
COMPARE = "compare sweep=small output_dir=compared"
READERS: dict[str, tuple[str, ...]] = {
    f"{RELU}/config.yaml": (EVALUATE, VERIFY, REPORT),
    f"{RELU}/model.npz": (EVALUATE, VERIFY, REPORT),
    f"{RELU}/history.csv": (VERIFY, REPORT),
    f"{RELU}.run.json": (EVALUATE, REPORT),
    **{
        f"artifacts/digits/evaluate/relu/{name}": (REPORT,)
        for name in (
            "metrics.json",
            "lineage.json",
            "predictions.csv",
            "per_class.csv",
            "confusion_matrix.csv",
            "misclassified.png",
        )
    },
    **{
        f"artifacts/digits/{name}": (REPORT,)
        for name in ("search/summary.json", "search/trials.csv", "search.times.csv")
    },
    "data/prepared/digits/manifest.json": (TRAIN, EVALUATE),
    "data/prepared/digits/split.npy": (TRAIN,),
    "data/prepared/digits/train_images.npy": (TRAIN,),
    "mlruns/optuna.db": (SEARCH,),
    "mlflow.db": (TRAIN, EVALUATE, COMPARE),
}
"""Each file that people may damage, and the doors that read it."""

CODES = (0, 2, 3, 4, 5, 1, None)
"""How a door may end, and after them how it may not: with a bug, or never."""


@dataclass(frozen=True)
class Mutation:
    """One damage: the number is the seed of its generator."""

    kind: str
    number: int
    file: str
    command: str

    def try_on(self, project: Project) -> tuple[Ended, str | None]:
        """Damage the file, run the door; return how it ended, and what is wrong about that or None."""
        with project.entered() as folder:
            path = folder / self.file
            KINDS[self.kind](path, random.Random(self.number))  # noqa: S311 - not for secrets
            before = _state(path)
            ended = run(self.command)
            return ended, _complaint(ended, before == _state(path))


def _state(path: Path) -> object:
    """Return what a file holds; a folder or a FIFO is its kind."""
    if path.is_symlink():
        return path.readlink()
    return path.read_bytes() if path.is_file() else path.stat().st_mode if path.exists() else None


def _complaint(ended: Ended, is_untouched: bool) -> str | None:
    if ended.code is None:
        return "hangs"
    if ended.code not in CODES[:-2]:
        return f"exit {ended.code}"
    if ended.code in (3, 4) and len(ended.faults) != 1:
        return f"{len(ended.faults)} sentences"
    return None if ended.code in (0, 5) or is_untouched else "the file was changed"


def drawn(kind: str, n: int, seed: int) -> Iterator[Mutation]:
    """Yield mutations of a kind, each file about as often."""
    draw = random.Random(f"{seed} {kind}")  # noqa: S311 - not for secrets
    files = list(READERS)
    for place in range(n):
        file = files[(place + seed) % len(files)]
        yield Mutation(kind, draw.randrange(2**31), file, draw.choice(READERS[file]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=500, help="mutations, spread over the kinds")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print(f"{args.n} mutations of files, seed {args.seed}")
    print("| kind |", " | ".join("hung" if code is None else f"exit {code}" for code in CODES), "|")
    print("|---|" + "---:|" * len(CODES), flush=True)
    counts: collections.Counter[tuple[str, int | None]] = collections.Counter()
    complaints = []
    with tempfile.TemporaryDirectory() as root:
        project = Project.make(Path(root))
        for place, kind in enumerate(KINDS):
            n = args.n // len(KINDS) + (place < args.n % len(KINDS))
            for mutation in drawn(kind, n, args.seed):
                ended, complaint = mutation.try_on(project)
                counts[kind, ended.code] += 1
                if complaint:
                    complaints.append(complaint)
                    print(f"{complaint}: {mutation}\n{ended.stderr}", file=sys.stderr, flush=True)
            print(f"| {kind} |", " | ".join(str(counts[kind, code]) for code in CODES), "|", flush=True)
    print(f"{len(complaints)} complaints")
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())

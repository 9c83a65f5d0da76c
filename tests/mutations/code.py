"""Changes the library at random, one place at a time, and runs the tests that should notice.

``python -m tests.mutations.code --n 30 --seed 1`` draws so many changes, makes each in a copy of the tree, runs there
the tests of its area, and prints a line for it; its own exit code is 1 if no test noticed one of them.
"""

import argparse
import ast
import collections
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "src/mlpsweep"
MARKS = "not network and not mnist and not browser and not fault and not dvc and not postgres"
"""What ``make test`` runs."""


@dataclass(frozen=True)
class Area:
    """Modules, and the tests that should notice any change of theirs; a star stands for all modules of a folder."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


AREAS = {
    "trainer": Area(("training/trainer.py", "training/steps.py"), ("tests/unit/training",)),
    "set-up": Area(("training/setup.py",), ("tests/unit/training",)),
    "metrics": Area(
        ("evaluation/metrics.py", "evaluation/statistics.py", "training/measure.py"),
        ("tests/unit/evaluation", "tests/unit/training/test_measure.py", "tests/unit/training/test_run.py"),
    ),
    "choice": Area(("search/choice.py",), ("tests/unit/search/test_choice.py",)),
    "finalists": Area(("search/finalists.py",), ("tests/unit/search/test_finalists.py",)),
    "ledger": Area(
        ("search/ledger.py", "search/leases.py", "search/claims.py"),
        ("tests/contracts/test_ledger.py", "tests/unit/search/test_worker.py", "tests/unit/search/test_finalists.py"),
    ),
    "augmentation": Area(
        ("data/augment.py",), ("tests/unit/data/test_augment.py", "tests/unit/training/test_recipe_keys.py")
    ),
    "tracking": Area(
        ("tracking/*.py",), ("tests/unit/tracking", "tests/pipeline/test_train.py", "tests/pipeline/test_search.py")
    ),
}

OTHER = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mod,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
EXTREMES = {"min": "max", "max": "min"}


def like(node: ast.AST, **changed: Any) -> Any:
    """Return a node with some fields changed."""
    return type(node)(**{**dict(ast.iter_fields(node)), **changed})


def comparisons(node: ast.AST) -> Iterator[ast.AST]:
    """``a < b`` as ``a <= b``, ``a == b`` as ``a != b``: one operator of a chain at a time."""
    if isinstance(node, ast.Compare):
        for place, kind in enumerate(map(type, node.ops)):
            yield like(node, ops=[*node.ops[:place], OTHER[kind](), *node.ops[place + 1 :]])


def operators(node: ast.AST) -> Iterator[ast.AST]:
    """``a + b`` as ``a - b``, ``a and b`` as ``a or b``."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in OTHER:
        yield like(node, op=OTHER[type(node.op)]())


def integers(node: ast.AST) -> Iterator[ast.AST]:
    """``1`` as ``2`` and as ``0``."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield from (ast.Constant(node.value + step) for step in (1, -1))


def arguments(node: ast.AST) -> Iterator[ast.AST]:
    """``f(a, b)`` as ``f(b, a)``, ``min(a)`` as ``max(a)``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in EXTREMES:
        yield like(node, func=ast.Name(EXTREMES[node.func.id]))
    elif isinstance(node, ast.Call) and len(node.args) > 1:
        first, second, *rest = node.args
        yield like(node, args=[second, first, *rest])


def negations(node: ast.AST) -> Iterator[ast.AST]:
    """``not a`` as ``a``."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """What a statement does, as ``pass``; one without which nothing would run stays, such as ``a = 1``."""
    is_call = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
    is_store = isinstance(node, ast.Assign) and not any(isinstance(one, ast.Name | ast.Tuple) for one in node.targets)
    if is_call or is_store or isinstance(node, ast.AugAssign | ast.Raise | ast.Return | ast.Continue | ast.Break):
        yield ast.Pass()


KINDS: dict[str, Callable[[ast.AST], Iterator[ast.AST]]] = {
    "comparison": comparisons,
    "operator": operators,
    "integer": integers,
    "arguments": arguments,
    "negation": negations,
    "statement": statements,
}


@dataclass(frozen=True, order=True)
class Change:
    """One change of a source: the bytes from ``start`` to ``end``, which begin in ``line``, become ``text``."""

    start: int
    end: int
    kind: str
    text: str
    line: int = field(compare=False)
    before: str = field(compare=False)

    def made(self, source: str) -> str:
        """Return the changed source."""
        data = source.encode()
        return (data[: self.start] + self.text.encode() + data[self.end :]).decode()


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is executed: no annotation, and nothing in an f-string, whose places Python 3.11 does not tell."""
    yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else (value,):
                if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                    yield from executed(child)


def changes(source: str) -> list[Change]:
    """Return every change of a source, in its order."""
    data, found = source.encode(), set()
    starts = [0, *itertools.accumulate(len(line) for line in data.splitlines(keepends=True))]
    for node in executed(ast.parse(source)):
        for kind, others in KINDS.items():
            for other in others(node):
                start = starts[node.lineno - 1] + node.col_offset
                end = starts[node.end_lineno - 1] + node.end_col_offset
                text = ast.unparse(ast.fix_missing_locations(other))
                if ast.dump(other) != ast.dump(node):
                    text = f"({text})" if isinstance(node, ast.expr) else text
                    found.add(Change(start, end, kind, text, node.lineno, data[start:end].decode()))
    return sorted(found)


@dataclass(frozen=True)
class Mutant:
    """The library with one change of a module, by the module's path in the tree."""

    area: str
    file: str
    change: Change

    def __str__(self) -> str:
        before, after = (" ".join(text.split())[:60] for text in (self.change.before, self.change.text))
        return f"{self.file}:{self.change.line}: {self.change.kind}: {before} -> {after}"


def mutants(area: str, root: Path = ROOT) -> Iterator[Mutant]:
    """Yield every mutant of an area."""
    for pattern in AREAS[area].modules:
        for file in sorted((root / PACKAGE).glob(pattern)):
            for change in changes(file.read_text()):
                yield Mutant(area, file.relative_to(root).as_posix(), change)


def drawn(n: int, seed: int, root: Path = ROOT) -> Iterator[Mutant]:
    """Yield different mutants, each area and in it each kind of change about as often, however large it is."""
    draw, left = random.Random(seed), dict[str, dict[str, list[Mutant]]]()
    for area in AREAS:
        left[area] = collections.defaultdict(list)
        for mutant in mutants(area, root):
            left[area][mutant.change.kind].append(mutant)
    areas = draw.sample(list(AREAS), len(AREAS))
    for area in itertools.islice(itertools.cycle(areas), n):
        kinds = [kind for kind, rest in left[area].items() if rest]
        if kinds:
            rest = left[area][draw.choice(kinds)]
            yield rest.pop(draw.randrange(len(rest)))


def copied(root: Path, target: Path) -> Path:
    """Copy what git knows of a tree, or would add, and return the copy."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, target / name)
    return target


def end_all(folder: Path) -> None:
    """End the processes that work in a folder: tests start some in sessions of their own, which outlive a hung test."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it is over, or somebody else's
            if (process / "cwd").readlink().is_relative_to(folder):
                os.kill(int(process.name), signal.SIGKILL)


@dataclass(frozen=True)
class Tested:
    """How tests ended: ``noticed``, ``SURVIVED`` or ``hung``; ``first`` names the first that failed."""

    outcome: str
    first: str
    seconds: float


def tested(tree: Path, tests: tuple[str, ...], limit_s: float) -> Tested:
    """Run tests of a copy on the library of that copy, until one fails; what they write lies beside the copy."""
    scratch = tree.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    # Two changes in one second can leave files of equal size and time, which compiled modules are told by.
    own = {"PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(scratch)}
    words = ["-q", "-x", "--tb=no", "-rfE", "-n", "auto", "--dist", "loadscope", "-m", MARKS, *tests]
    start = time.monotonic()
    with (scratch / "output").open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *words], cwd=tree, env=os.environ | own, start_new_session=True,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            outcome = "noticed" if process.wait(limit_s) else "SURVIVED"
        except subprocess.TimeoutExpired:
            outcome = "hung"
        finally:
            end_all(tree.parent)
            process.kill()
            process.wait()
        output.seek(0)
        told = [line for line in output if line.startswith(("FAILED", "ERROR"))]
    return Tested(outcome, told[0].split(" - ")[0].strip() if told else "", time.monotonic() - start)


def judged(tree: Path, mutant: Mutant, tests: tuple[str, ...], limit_s: float) -> Tested:
    """Make a change in a copy, run the tests, and take it back."""
    file = tree / mutant.file
    source = file.read_text()
    file.write_text(mutant.change.made(source))
    try:
        return tested(tree, tests, limit_s)
    finally:
        file.write_text(source)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=30, help="changes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry", action="store_true", help="show the changes, run nothing")
    args = parser.parse_args()
    chosen, limits, survivors = list(drawn(args.n, args.seed)), dict[str, float](), list[Mutant]()
    if args.dry:
        print(*chosen, sep="\n")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        tree = copied(ROOT, Path(folder, "tree"))
        for mutant in chosen:
            print(mutant, end=": ", flush=True)
            tests = AREAS[mutant.area].tests
            if mutant.area not in limits:
                usual = tested(tree, tests, 3600)
                if usual.outcome != "SURVIVED":
                    sys.exit(f"{mutant.area}: the tests fail without any change, first {usual.first}")
                limits[mutant.area] = 60 + 5 * usual.seconds
            ended = judged(tree, mutant, tests, limits[mutant.area])
            survivors += [mutant] if ended.outcome == "SURVIVED" else []
            print(f"{ended.outcome}, {ended.seconds:.0f} s {ended.first}", flush=True)
    print(f"{len(chosen)} changes, seed {args.seed}: {len(survivors)} survived", *survivors, sep="\n")
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main())

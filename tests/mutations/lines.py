"""Changes valid command lines at random and lets each door check them: exit code 0 or 2, a sentence, no traceback.

``python -m tests.mutations.lines --n 500 --seed 1`` does so for each door and prints a table of exit codes.
"""

import argparse
import contextlib
import importlib
import io
import sys
from collections import Counter
from dataclasses import dataclass
from random import Random

from pipeline.door import asked
from pipeline.outcome import guarded

# What belongs together stands together; a line takes the first entry of its door, and some of the others.
TRAIN = (
    "seed=7", "data=digits n_epochs=1", "hidden_sizes=[8,4] activation=[relu,tanh]", "learning_rate=0.1",
    "optimizer=adam optimizer.beta_1=0.9", "schedule=cosine", "augment=distort augment.smoothness=4", "l2_lambda=0.5",
    "data.n_train=100 batch_size=32", "initializer=normal init_std=0.01", "recipe=manual_tanh", "recipe=null",
    "recipe=[manual_tanh,strong]", "hydra.run.dir=there", "shuffle=false", "patience=3 monitor=validation",
    "log_every=10", "tracking.experiment=mine", "tracking.uri=sqlite:///x.db", "paths.raw=data/raw", "reuse=true",
    "data.mirrors=[https://host/folder]",
)  # fmt: skip
SWEEPS = (
    "-m seed=1,2", "-m seed=range(3)", "-m seed=shuffle(range(1,5))", "-m optimizer=glob(*)", "-m hydra.verbose=true",
    "-m recipe=null,manual_tanh", "-m learning_rate=choice(0.1,0.2)", "-m hidden_sizes=[8],[4,4]",
    "-m hydra.sweep.dir=sweep", "-m hydra/launcher=joblib hydra.launcher.n_jobs=2 hydra.launcher.pre_dispatch=2*n_jobs",
)  # fmt: skip
SEARCH = (
    "search.n_trials=3", "search.sampler=random", "search.pruner=none", "search.study=a-b", "search.timeout_s=5",
    "search.storage=sqlite:///y.db", "space.dimensions.learning_rate.high=0.5", "winner.top_k=2", "worker=1",
    "space.max_parameters=1000", "search.n_workers=2", "output_dir=here",
    "space=wide space.dimensions.optimizer.choices.adam.learning_rate.high=0.5 optimizer.name=sgd",
    "space.dimensions={schedule:{type:group,choices:{step:{factor:0.5,every_epochs:{type:int,low:1,high:9}},cosine:{}}}}",
)  # fmt: skip
LINES: dict[str, tuple[str, ...]] = {
    "download": ("data=digits", "data=mnist", "data.mirrors=[]", "data.fallback=null", "paths.raw=data/raw"),
    "prepare": ("data=digits", "data.n_validation=100", "paths.prepared=there", "data.scaling=unit"),
    "train": (*TRAIN, *SWEEPS),
    "search": (*TRAIN, *SWEEPS, *SEARCH),
    "evaluate": ("model_dir=m", "output_dir=out", "register=true", "paths.prepared=p", "tracking.experiment=mine"),
    "verify": ("model_dir=m", "paths.prepared=p", "tracking.uri=sqlite:///x.db"),
    "compare": ("sweep=multirun/x", f"run_ids=[{'0a' * 16}]", "metric=test/accuracy", "output_dir=out"),
    "report": ("data=digits", "paths.artifacts=artifacts", "paths.raw=data/raw"),
    "recipes": ("names=[manual_tanh]", "seeds=[0,1]", "n_workers=2", "page=x.md", "output_dir=out", "reuse=false"),
    "doctor": ("fix=true", "paths.artifacts=artifacts", "tracking.uri=sqlite:///x.db", "search.storage=sqlite:///y.db"),
}
FLAGS = (
    ("-m",), ("--multirun",), ("--cfg", "job"), ("--cfg=all",), ("--info",), ("--info", "defaults"), ("--resolve",),
    ("--package", "data"), ("--config-dir", "."), ("--config-dir", "nowhere"), ("--run",), ("--version",), ("-h",),
    ("--n_epochs=1",), ("--",), ("-x",), ("--config-name", "search"),
)  # fmt: skip
VALUES = (
    "", "null", "true", "-1", "0", "1.5", "1e300", "1e-320", "nan", "-inf", "9" * 40, "0x10", "1_0", "''", "[]", "{}",
    "[null]", "{a:1}", "[[1],[2]]", "[1,", "'a, b'", "\"o'brien\"", "a b", "ünïcode", "日本", "\u202e", "\u0000",
    "a" * 300, "a/" * 2500, ".", "..", "/", "/dev/null", "/proc/x", "~", "???", "${seed}", "${nope}",
    "${hydra:job.num}", "${oc.env:HOME}", "${oc.env:NOPE}", "${now:%Y}", "${${seed}}", "${", "a,b", "1,2,3",
    "range(1,1)", "range(0,1e9)", "range(0,3,-1)", "interval(0,1)", "choice()", "choice(1,x)", "glob(*)",
    "glob([a,b])", "sort(3,1,2)", "shuffle(1,2)", "tag(t,1)", "int('3')", "float(1)", "str(1)", "json_str(1)",
    "[a,b],c", "null,null", "_target_", "{_target_:os.system}",
)  # fmt: skip
PIECES = (
    "=", "[", "]", ",", "${", "}", "$", "'", '"', "\\", " ", ":", "+", "++", "~", "@", "@x", ".", "/", "(", ")", "\n",
    "\t", "é", "😀", "0", "-", "hydra.", "hydra:", "_global_", "*", "#", "%", "!", "\x7f",
)  # fmt: skip


def mutated(word: str, random: Random) -> str:
    """Return a word with a few changes: characters, pieces of grammar, or another value."""
    for _ in range(random.choice((1, 1, 2, 3))):
        at, kind = random.randrange(len(word) + 1), random.randrange(6)
        if kind == 0:
            word = word[:at] + word[at + 1 :]
        elif kind == 1:
            word = word[:at] + word[at : at + 1] * 2 + word[at + 1 :]
        elif kind == 2:
            word = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
        elif kind == 3:
            word = word[:at] + random.choice(PIECES) + word[at:]
        else:
            word = f"{word.partition('=')[0]}={random.choice(VALUES)}"
    return word


def line(door: str, random: Random) -> list[str]:
    """Return a command line of a door with one or two changed words among a few valid ones."""
    first, *others = LINES[door]
    words = " ".join([first, *random.sample(others, random.randint(0, min(len(others), 3)))]).split(" ")
    for _ in range(random.choice((1, 1, 2))):
        at = random.randrange(len(words))
        words[at] = mutated(words[at], random)
    if random.random() < 0.2:
        words.insert(random.randrange(len(words) + 1), random.choice(words))
    if random.random() < 0.2:
        at = random.randrange(len(words) + 1)
        words[at:at] = random.choice(FLAGS)
    return words


@dataclass(frozen=True)
class Answer:
    """How a door took a command line, before anything would have run."""

    words: tuple[str, ...]
    exit_code: int
    told: str

    @property
    def is_bug(self) -> bool:
        """Whether it is no sentence with exit code 2, and no permission to go on."""
        said = self.told.startswith("error: ") if self.exit_code else not self.told
        return self.exit_code not in (0, 2) or not said or "Traceback" in self.told


def answer(door: str, words: list[str]) -> Answer:
    """Let a door check a command line, through its own handler; nothing is run."""
    module, told = importlib.import_module(f"pipeline.{door}"), io.StringIO()
    with contextlib.redirect_stderr(told):
        outcome = guarded(lambda: asked(module.DOOR, words))
    return Answer(tuple(words), outcome.exit_code, told.getvalue())


def answers(door: str, n: int, seed: int) -> list[Answer]:
    """Return how a door takes ``n`` changed command lines, drawn with ``seed``."""
    random = Random(f"{door} {seed}")
    return [answer(door, line(door, random)) for _ in range(n)]


def main() -> None:
    """Print a row of exit codes per door, and every line that met a bug."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=500, help="lines per door")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    sys.stdout.write(f"{args.n} command lines per door, seed {args.seed}\ndoor       exit 0  exit 2  other\n")
    bugs = []
    for door in LINES:
        got = answers(door, args.n, args.seed)
        codes = Counter(one.exit_code for one in got)
        bugs += [one for one in got if one.is_bug]
        sys.stdout.write(f"{door:<10} {codes[0]:>6} {codes[2]:>7} {len(got) - codes[0] - codes[2]:>6}\n")
    for bug in bugs:
        sys.stdout.write(f"{bug.words!r}: exit {bug.exit_code}\n{bug.told}\n")
    sys.exit(bool(bugs))


if __name__ == "__main__":
    main()

"""Bad command lines: exit code 2 within two seconds, key and value and expectation named, nothing touched."""

import time
from pathlib import Path
from random import Random

import pytest

from mlpsweep.errors import SettingsError
from pipeline.compose import check
from pipeline.settings import SearchJob
from tests.pipeline.doors import door, tree

FILES = {
    "tab/recipe/mine.yaml": "# @package _global_\nlearning_rate:\t0.1\n\tseed: 1\n",
    "twice/recipe/mine.yaml": "# @package _global_\nseed: 1\nseed: 2\n",
    "unknown/recipe/mine.yaml": "# @package _global_\nlearning_rat: 1\n",
    "a_file": "",
}
CASES: list[tuple[str, list[str]]] = [
    ("train learning_rate=-0.1", ["learning_rate: -0.1", "> 0", "learning_rate=0.01"]),
    ("train learning_rate=0", ["learning_rate: 0", "> 0"]),
    ("train learning_rate=nan", ["learning_rate: nan", "finite"]),
    ("train learning_rate=1e400", ["learning_rate: inf", "finite"]),
    ("train learning_rate=abc", ["learning_rate: 'abc'", "number"]),
    ("train learning_rate='1e-3'", ["learning_rate: '1e-3'", "number"]),
    ("train hidden_sizes=[0]", ["hidden_sizes: [0]", ">= 1"]),
    ("train hidden_sizes=[1.5]", ["hidden_sizes: [1.5]", "integer"]),
    ("train hidden_sizes=128", ["hidden_sizes: 128", "a list"]),
    ("train hidden_sizes=[1000000000]", ["hidden_sizes: [1000000000]", "GB"]),
    ("train activation=rleu", ["activation: 'rleu'", "did you mean relu?"]),
    ("train activation=[relu,tanh]", ["activation: 2 names for 3 hidden layers"]),
    ("train l2_lambda=-1", ["l2_lambda: -1", ">= 0"]),
    ("train n_epochs=1.5", ["n_epochs: 1.5", "integer"]),
    ("train batch_size=0", ["batch_size: 0", ">= 1"]),
    ("train batch_size=70000", ["batch_size: 70000", "50000"]),
    ("train data.n_validation=60000", ["data.n_validation: 60000", "leave 0"]),
    ("train data.n_train=55000", ["data.n_validation: 10000", "at least 55000"]),
    ("train seed=-1", ["seed: -1", "4294967295"]),
    ("train seed=1099511627776", ["seed: 1099511627776", "4294967295"]),
    ("train lambda=0.1", ["lambda: no such setting", "did you mean l2_lambda?"]),
    ("train data.n_tran=3", ["data.n_tran: no such setting", "did you mean data.n_train?"]),
    ("train +foo=1", ["+foo=1", "foo=VALUE"]),
    ("train ~seed", ["~seed", "seed=VALUE"]),
    ("train optimizer=adm", ["optimizer: 'adm'", "did you mean adam?"]),
    ("train optimizer.beta_1=0.5", ["optimizer.beta_1: no such setting"]),
    ("train --config-name nope", ["--config-dir"]),
    ("train --config-dir nowhere", ["--config-dir: nowhere"]),
    ("evaluate", ["model_dir: None", "model_dir=artifacts/train/relu"]),
    ("train learning_rate", ["learning_rate: not understood", "key=value"]),
    ("train hidden_sizes=[1,2", ["hidden_sizes=[1,2: not understood", "quotes"]),
    ("train --config-dir tab recipe=mine", ["mine.yaml"]),
    ("train --config-dir twice recipe=mine", ["duplicate key seed", "mine.yaml"]),
    ("train --config-dir unknown recipe=mine", ["learning_rat: no such setting", "learning_rate"]),
    ("train learning_rate=${nowhere}", ["learning_rate", "nowhere"]),
    ("train learning_rate=${l2_lambda} l2_lambda=${learning_rate}", ["learning_rate", "Recursive"]),
    ("search space.dimensions.learning_rate.low=1", ["learning_rate", "low", "high"]),
    ("search space.dimensions.learning_rate.low=0", ["learning_rate", "log"]),
    ("search search.n_trials=0", ["search.n_trials: 0", ">= 1"]),
    ("search search.n_workers=-3", ["search.n_workers: -3", ">= 1"]),
    ("search search.storage=sqlte:///x.db", ["search.storage: 'sqlte:///x.db'", "sqlite:///"]),
    ("search search.study=../../x", ["search.study: '../../x'", "letters"]),
    ("search search.metric=validation/acuracy", ["search.metric", "did you mean validation/accuracy?"]),
    ("search search.sampler=tpee", ["search.sampler: 'tpee'", "did you mean tpe?"]),
    ("train tracking.uri=./mlruns", ["tracking.uri: './mlruns'", "sqlite:///FILE"]),
    ("train tracking.experiment=''", ["tracking.experiment: ''", "250"]),
    ("train output_dir=a_file", ["output_dir: a_file is a file"]),
    ("train -m learning_rate=range(0,1000000)", ["1000000 jobs", "1000"]),
    ("train -m activation=sigmoid,rleu", ["activation: 'rleu'", "relu"]),
    ("train -m output_dir=x seed=1,2", ["output_dir: one folder for 2 jobs"]),
    ("train -m learning_rate=interval(0,1)", ["learning_rate=interval(0,1)", "pipeline.search"]),
    ("evaluate -m model_dir=a,b", ["-m", "train and search"]),
    ("train activation=sigmoid,tanh", ["activation=sigmoid,tanh", "Add -m"]),
    ("train hydra/sweeper=optuna", ["python -m pipeline.search"]),
    ("train hydra.job_logging.handlers.x.class=os.system", ["may not name code"]),
    ("train hydra.launcher._target_=os.system", ["may not name code"]),
    ("train --experimental-rerun x", ["command line"]),
    ("train --n_epochs=1", ["command line: unrecognized arguments: --n_epochs=1", "key=value"]),
    ("train -m seed=range(1,1)", ["seed=range(1,1): no value to run"]),
    ("train -m seed=range(0,2,0)", ["seed=range(0,2,0): no value to run"]),
    ("train -m seed=range(0,100000000000)", ["100000000000 jobs"]),
    ("train -m optimizer=glob(x*)", ["optimizer=glob(x*): no value to run"]),
    ("train hydra.run.dir=${nope}", ["hydra.run.dir", "'nope'"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "named"), CASES, ids=[words for words, _ in CASES])
def test_a_bad_command_line_is_refused(tmp_path: Path, words: str, named: list[str]) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = tree(tmp_path)
    done = door(tmp_path, *words.split(" "))
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert [name for name in named if name not in done.stderr] == [], done.stderr
    assert tree(tmp_path) == before


@pytest.mark.slow
def test_a_refusal_takes_two_seconds_at_most(tmp_path: Path) -> None:
    started = time.monotonic()
    assert door(tmp_path, "train", "learning_rate=-0.1", cold=True).returncode == 2
    # For a person; a loaded machine gets more.
    assert time.monotonic() - started < 10


VALID = (
    "learning_rate=0.1", "hidden_sizes=[64,32]", "activation=relu", "activation=[relu,tanh]", "optimizer=adam",
    "optimizer.beta_1=0.9", "schedule=cosine", "data=digits", "data.n_train=100", "search.n_trials=3", "seed=7",
    "search.sampler=random", "space.dimensions.learning_rate.high=0.5", "winner.top_k=2", "n_epochs=2", "shuffle=false",
    "tracking.experiment=mine", "output_dir=here", "patience=3", "monitor=validation", "search.study=a-b",
)  # fmt: skip
PIECES = ("=", "[", "]", ",", "-1", "0", "1e999", "null", "nan", "${", "}", "$", "'", '"', "\\", " ", ":", "+", "~",
          "@", ".", "x", "true", "[]", "{}", "(", ")", "choice(", "/", "\n", "é", "_target_", "9" * 30)  # fmt: skip


def mutated(word: str, random: Random) -> str:
    for _ in range(random.randint(1, 3)):
        at, kind = random.randrange(len(word) + 1), random.randrange(3)
        piece = random.choice(PIECES)
        word = word[:at] + piece + word[at + kind :] if kind else word[: at - 1] + word[at:] if at else word
    return word


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_mutation_of_valid_words_is_a_bug(seed: int) -> None:
    random = Random(seed)
    refused = 0
    for _ in range(250):
        words = [mutated(random.choice(VALID), random), *random.sample(VALID, 2)]
        try:
            check("search", SearchJob, words, multirun=random.random() < 0.3)
        except SettingsError as error:
            refused += bool(error.messages)
    assert 100 < refused < 250

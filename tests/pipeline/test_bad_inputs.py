"""Bad command lines: exit code 2 within two seconds, key and value and expectation named, nothing touched."""

import time
from pathlib import Path

import pytest

from tests.pipeline.doors import door, tree

FILES = {
    "tab/recipe/mine.yaml": "# @package _global_\nlearning_rate:\t0.1\n\tseed: 1\n",
    "twice/recipe/mine.yaml": "# @package _global_\nseed: 1\nseed: 2\n",
    "unknown/recipe/mine.yaml": "# @package _global_\nlearning_rat: 1\n",
    "headless/recipe/mine.yaml": "learning_rate: 0.1\n",
    "a_file": "",
}
CASES: list[tuple[str, list[str]]] = [
    ("train learning_rate=-0.1", ["learning_rate: -0.1", "> 0", "learning_rate=0.01"]),
    ("train learning_rate=0", ["learning_rate: 0", "> 0"]),
    ("train learning_rate=nan", ["learning_rate: nan", "finite"]),
    ("train learning_rate=1e400", ["learning_rate: inf", "finite"]),
    ("train learning_rate=abc", ["learning_rate: 'abc'", "number"]),
    ("train learning_rate='1e-3'", ["learning_rate: '1e-3'", "number"]),
    ("train hidden_sizes=[0]", ["hidden_sizes: [0]", "1 .. 1000000"]),
    ("train hidden_sizes=[1.5]", ["hidden_sizes: [1.5]", "integer"]),
    ("train hidden_sizes=128", ["hidden_sizes: 128", "a list"]),
    ("train hidden_sizes=[1000000000]", ["hidden_sizes: [1000000000]", "1 .. 1000000"]),
    ("train hidden_sizes=[1000000,1000000]", ["hidden_sizes: [1000000, 1000000]", "GB"]),
    ("train activation=rleu", ["activation: 'rleu'", "did you mean relu?"]),
    ("train activation=[relu,tanh]", ["activation: 2 names for 3 hidden layers"]),
    ("train l2_lambda=-1", ["l2_lambda: -1", ">= 0"]),
    ("train class_weight=balance", ["class_weight: 'balance'", "did you mean balanced?"]),
    ("train class_weight={3:-1}", ["class_weight: {3: -1}", "a mapping, each value a finite number >= 0"]),
    ("train n_epochs=1.5", ["n_epochs: 1.5", "integer"]),
    ("train batch_size=0", ["batch_size: 0", "1 .. 10000000"]),
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
    ("evaluate", ["model_dir: None", "model_dir=artifacts/mnist/train/relu"]),
    ("train learning_rate", ["learning_rate: not understood", "key=value"]),
    ("train hidden_sizes=[1,2", ["hidden_sizes=[1,2: not understood", "quotes"]),
    ("train --config-dir tab recipe=mine", ["mine.yaml"]),
    ("train --config-dir twice recipe=mine", ["duplicate key seed", "mine.yaml"]),
    ("train --config-dir unknown recipe=mine", ["learning_rat: no such setting", "learning_rate"]),
    ("train learning_rate=${nowhere}", ["learning_rate", "nowhere"]),
    ("train learning_rate=${l2_lambda} l2_lambda=${learning_rate}", ["learning_rate", "Recursive"]),
    ("search space.dimensions.learning_rate.low=1", ["learning_rate", "low", "high"]),
    ("search space.dimensions.learning_rate.low=0", ["learning_rate", "log"]),
    ("search search.n_trials=0", ["search.n_trials: 0", "1 .. 1000000"]),
    ("search search.n_workers=-3", ["search.n_workers: -3", "1 .. 256"]),
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
    ("train hydra.run.dir=???", ["hydra.run.dir", "Example: hydra.run.dir=outputs/mine"]),
    ("train hydra.run.dir=''", ["hydra.run.dir: '' names no folder"]),
    ("train hydra.run.dir=/", ["hydra.run.dir: / is the root of all files"]),
    ("train output_dir=/", ["output_dir: / is the root of all files"]),
    ("train -m hydra.sweep.dir=/ seed=1,2", ["hydra.sweep.dir: / is the root of all files"]),
    ("train -m hydra.sweep.dir=a,b", ["hydra.sweep.dir=a,b", "expected one"]),
    ("train -m hydra/launcher=joblib,basic", ["hydra/launcher=joblib,basic", "expected one"]),
    ("train -m hydra/launcher=joblib hydra.launcher.pre_dispatch=nope", ["pre_dispatch: 'nope'", "2*n_jobs"]),
    ("train -m hydra/launcher=joblib hydra.launcher.require=sharedmem seed=1,2", ["require: 'sharedmem'", "null"]),
    ("train lambda=0.1 --cfg job", ["lambda: no such setting", "did you mean l2_lambda?"]),
    ("train lambda=0.1 --info", ["lambda: no such setting", "did you mean l2_lambda?"]),
    ("train --config-dir headless recipe=mine", ["mine.yaml lacks its first line", "# @package _global_"]),
    ("train seed@x=7", ["seed@x=7", "Leave @x out"]),
    ("train seed=${hydra:job.num}", ["seed=${hydra:job.num}", "expected a value"]),
    ("train output_dir=" + "a" * 300, ["output_dir: ", "too long"]),
    ("train output_dir=/dev/null/x", ["output_dir: /dev/null/x", "kernel"]),
    ("train hydra.run.dir=/proc/x", ["hydra.run.dir: /proc/x", "kernel"]),
    ("evaluate model_dir=m output_dir=/proc/x", ["output_dir: /proc/x", "kernel"]),
    ("train -m seed=1,-1,2", ["job 1 (seed=-1): seed: -1"]),
    ("train init_std=1e300 initializer=normal", ["init_std: 1e+300", "at most 1000"]),
    ("train augment=distort augment.smoothness=1e9", ["augment.smoothness: 1000000000.0", "at most 100"]),
    ("train n_epochs=1000000000", ["n_epochs: 1000000000", "1000000"]),
    ("train log_every=100000000000", ["log_every: 100000000000", "1000000000"]),
    ("train learning_rate=1e300", ["learning_rate: 1e+300", "at most 1e+30"]),
    ("download data=mnist data.mirrors=[http://x/]", ["data.mirrors: ['http://x/']", "https"]),
    ("download data=mnist data.files={}", ["data.files.train_images.name: None", "a file name"]),
    ("download data=mnist data.files.train_images.sha256=abc", ["sha256: 'abc'", "64 hexadecimal digits"]),
    ("train data.files.train_images.n_bytes=0", ["data.files.train_images.n_bytes: 0", "expected"]),
    ("search search.timeout_s=1e300", ["search.timeout_s: 1e+300", "at most 1e+08"]),
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
@pytest.mark.parametrize("words", ["download", "train data=mnist", "search data=mnist"])
@pytest.mark.parametrize("mirror", ["ftp://host/", "http://me:secret@host/"])
def test_a_mirror_that_may_not_be_used_leaves_no_folder_and_no_lock(tmp_path: Path, words: str, mirror: str) -> None:
    done = door(tmp_path, *words.split(" "), MNIST_MIRROR=mirror)
    assert (done.returncode, "MNIST_MIRROR: " in done.stderr, "secret" in done.stderr) == (2, True, False), done.stderr
    assert tree(tmp_path) == set()


@pytest.mark.slow
@pytest.mark.parametrize("words", ["train output_dir=out", "search output_dir=out"])
def test_a_class_that_the_data_do_not_have_begins_no_run_and_no_study(tmp_path: Path, words: str) -> None:
    done = door(tmp_path, *words.split(), "data=digits", "class_weight={11:2}")
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: class_weight: '11' is no class (did you mean 1?)")
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


@pytest.mark.slow
def test_a_refusal_takes_two_seconds_at_most(tmp_path: Path) -> None:
    started = time.monotonic()
    assert door(tmp_path, "train", "learning_rate=-0.1", cold=True).returncode == 2
    # For a person; a loaded machine gets more.
    assert time.monotonic() - started < 10

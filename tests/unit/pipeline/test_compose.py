"""Command lines become jobs: which, in which order, and what is refused before any of them is composed."""

import itertools
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from mlpsweep.config import read_yaml, to_yaml
from mlpsweep.errors import SettingsError
from mlpsweep.settings import TrainSettings
from pipeline.compose import CONF, check, plan
from pipeline.settings import SearchJob, TrainJob

MANUAL = ["manual_relu", "manual_sigmoid", "manual_tanh"]


def overrides(*words: str, config_dir: Path | None = None) -> list[str]:
    jobs = check("train", TrainJob, words, multirun=True, config_dir=str(config_dir) if config_dir else None)
    return [" ".join(job.overrides) for job in jobs]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seed=1"], ["seed=1"]),
        (["seed=1,2", "n_epochs=3,4"], [f"seed={seed} n_epochs={n}" for seed in (1, 2) for n in (3, 4)]),
        (["seed=range(9,1,-3)"], ["seed=9", "seed=6", "seed=3"]),
        (["learning_rate=range(0.5,2,0.5)"], ["learning_rate=0.5", "learning_rate=1.0", "learning_rate=1.5"]),
        (["seed=sort(choice(3,1,2))"], ["seed=1", "seed=2", "seed=3"]),
        (["hidden_sizes=[64],[128,64]"], ["hidden_sizes=[64]", "hidden_sizes=[128,64]"]),
        (["tracking.experiment='a, b',c"], ["tracking.experiment='a, b'", "tracking.experiment=c"]),
        (["seed=1,2", "n_epochs=3", "seed=4,5"], ["seed=4 n_epochs=3", "seed=5 n_epochs=3"]),
        (["optimizer=glob(*)"], ["optimizer=adam", "optimizer=momentum", "optimizer=sgd"]),
        (["recipe=glob(manual_*)"], [f"recipe={name}" for name in MANUAL]),
        (["recipe=glob(manual_*,exclude=*tanh)"], [f"recipe={name}" for name in MANUAL[:2]]),
        (["recipe=null,manual_tanh"], ["", "recipe=manual_tanh"]),
        (["recipe=[manual_tanh,strong],[]"], ["recipe=[manual_tanh,strong]", ""]),
        (["seed=choice(2,1)", "recipe=manual_relu"], [f"seed={seed} recipe=manual_relu" for seed in (2, 1)]),
        (["seed=1,1"], ["seed=1", "seed=1"]),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_sweep_is_the_product_of_its_values_in_order(words: list[str], expected: list[str]) -> None:
    assert overrides(*words) == expected


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("seed=range(1,1)", r"seed=range\(1,1\): no value to run"),
        ("seed=range(0,2,0)", r"seed=range\(0,2,0\): no value to run"),
        ("recipe=glob(nothing*)", "no value to run"),
        ("seed=glob(*)", "no value to run"),
        ("seed=range(0,100000000000)", "100000000000 jobs; expected at most 1000"),
        ("learning_rate=range(0.0,1e30,0.5)", "jobs; expected at most 1000"),
        ("learning_rate=range(0.0,inf)", "inf jobs; expected at most 1000"),
        ("seed=sort(range(0,100000000000))", "100000000000 jobs; expected at most 1000"),
        ("seed=shuffle(range(0,100000000000))", "100000000000 jobs; expected at most 1000"),
        ("optimizer=null,adam", r"job 0 \(optimizer=null\): optimizer: None is not known"),
        ("seed=1,-2", r"^job 1 \(seed=-2\): seed: -2 does not fit"),
        ("hydra/launcher=joblib,basic", "what all jobs share; expected one"),
        ("hydra.sweep.dir=a,b", "what all jobs share; expected one"),
        ("hydra.verbose=5", "hydra.verbose: 5 does not fit; expected true or false"),
        ("hydra.launcherx=1", "only hydra/launcher"),
        ("hydra.launcher={_target_:os.system}", "may not name code"),
        ("hydra.launcher.setup=[reboot]", "may not name code"),
        ("hydra.launcher.pre_dispatch=__import__", "sums and products of numbers"),
        ("hydra.launcher.pre_dispatch=1//0", "sums and products of numbers"),
        ("hydra.launcher.n_jobs=0", "a number of processes"),
        ("seed@x=7", "a setting has one place; expected seed=VALUE"),
        ("seed=${hydra:job.num}", "may not depend on how Hydra runs it"),
        ("seed=${ hydra.job.num }", "may not depend on how Hydra runs it"),
        ("optimizer=[adam,sgd]", r"optimizer: \['adam', 'sgd'\] is not known"),
        ("recipe=[manual_tanh,nope]", "recipe: 'nope' is not known"),
    ],
)
def test_what_cannot_be_run_is_refused_without_being_listed(word: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        overrides(word)


@pytest.mark.parametrize("multirun", [False, True])
@pytest.mark.parametrize("word", ["recipe=null", "recipe=[]", "recipe=NULL"])
def test_a_recipe_that_is_null_is_none(word: str, multirun: bool) -> None:
    (plain,), (null,) = (check("train", TrainJob, words, multirun=multirun) for words in ([], [word]))
    assert null.settings == plain.settings
    assert null.overrides == ()


def test_of_two_recipes_both_count_and_the_later_one_goes_over_the_earlier() -> None:
    both, turned, strong = (
        check("train", TrainJob, [f"recipe={names}"], multirun=False)[0].settings
        for names in ("[strong,augmented]", "[augmented,strong]", "strong")
    )
    assert (both.optimizer.name, both.learning_rate, both.dropout) == ("sgd", 0.7, strong.dropout)
    assert (turned.optimizer.name, turned.learning_rate, turned.augment.name) == ("adam", 0.001, "distort")


@pytest.mark.parametrize("recipe", ["strong", "augmented", "fast_985", "[augmented,strong]"])
@pytest.mark.parametrize("word", ["optimizer=momentum", "optimizer=sgd", "schedule=constant", "augment=none"])
def test_what_a_recipe_says_of_a_choice_goes_with_that_choice(recipe: str, word: str) -> None:
    (job,) = check("train", TrainJob, [f"recipe={recipe}", word], multirun=False)
    group, _, name = word.partition("=")
    (plain,) = check("train", TrainJob, [word], multirun=False)
    assert getattr(job.settings, group) == getattr(plain.settings, group)
    assert getattr(job.settings, group).name == name


def test_a_key_of_another_choice_is_refused_where_no_recipe_says_it() -> None:
    for words in (["optimizer.momentum=0.9"], ["recipe=strong", "optimizer=sgd", "optimizer.weight_decay=0.1"]):
        with pytest.raises(SettingsError, match="no such setting"):
            check("train", TrainJob, words, multirun=False)


def test_a_range_that_does_not_get_on_ends() -> None:
    # In floating point 1e16 + 0.5 is 1e16.
    with pytest.raises(SettingsError, match="jobs; expected at most 1000"):
        overrides("learning_rate=range(1e16,1.0000000000000002e16,0.5)", "seed=range(1000)")


def test_hydra_gets_words_that_give_the_same_jobs() -> None:
    recipes = "recipe=null,manual_tanh,[manual_tanh,strong]"
    words = ["seed=shuffle(range(0,9))", "hydra.sweep.dir=x", recipes, "optimizer=glob(*)"]
    planned = plan("train", TrainJob, words, multirun=True)
    assert not [word for word in planned.words if word.startswith("hydra.sweep.dir")]
    lists = [
        [f"{one.key_or_group}={value}" for value in one.sweep_string_iterator()]
        for one in OverridesParser.create().parse_overrides(list(planned.words))
    ]
    jobs = [tuple(word for word in one if word != "recipe=[]") for one in itertools.product(*lists)]
    assert [tuple(word for word in job.overrides if "sweep.dir" not in word) for job in planned.jobs] == jobs


@pytest.mark.parametrize("header", ["", "# mine\n", "# @package optimizer\n"])
def test_a_recipe_without_its_first_line_is_told_which(tmp_path: Path, header: str) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "mine.yaml").write_text(f"{header}learning_rate: 0.5\n")
    with pytest.raises(SettingsError, match="recipe: mine.yaml lacks its first line, `# @package _global_`"):
        overrides("recipe=mine", config_dir=tmp_path)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"\x00", b"a: !!python/object/apply:os.getcwd []", b"[1]", b"{" * 2000])
def test_a_recipe_that_is_no_yaml_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "mine.yaml").write_bytes(b"# @package _global_\n" + data)
    with pytest.raises(SettingsError):
        overrides("recipe=mine", config_dir=tmp_path)


@pytest.mark.parametrize("name", ["plain", "it's a folder", "a,b=[c]"])
def test_files_of_a_config_dir_are_found_after_ours(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "recipe"
    folder.mkdir(parents=True)
    for recipe in ("mine", "manual_tanh"):
        (folder / f"{recipe}.yaml").write_text("# @package _global_\nlearning_rate: 0.625\n")
    words = ("recipe=mine,manual_tanh",)
    mine, ours = check("train", TrainJob, words, multirun=True, config_dir=str(tmp_path / name))
    (alone,) = check("train", TrainJob, ["recipe=manual_tanh"], multirun=False)
    assert (mine.settings.learning_rate, ours.settings) == (0.625, alone.settings)
    assert overrides("recipe=glob(m*)", config_dir=tmp_path / name) == [f"recipe={name}" for name in [*MANUAL, "mine"]]


@pytest.mark.parametrize(
    ("batch_size", "named"),
    [
        ("{type: int, low: 10, high: 60000}", "space: batch_size: 60000; expected at most the 50000 rows"),
        ("{type: categorical, choices: [10, 60000]}", "space: batch_size: 60000; expected at most"),
    ],
)
def test_a_searched_batch_has_no_more_rows_than_there_are(tmp_path: Path, batch_size: str, named: str) -> None:
    (tmp_path / "space").mkdir()
    words, file = ["space=mine"], tmp_path / "space" / "mine.yaml"
    file.write_text(f"dimensions: {{batch_size: {batch_size}}}\n")
    with pytest.raises(SettingsError, match=named):
        check("search", SearchJob, words, multirun=False, config_dir=str(tmp_path))
    file.write_text(f"dimensions: {{batch_size: {batch_size.replace('60000', '50000')}}}\n")
    check("search", SearchJob, words, multirun=False, config_dir=str(tmp_path))


def test_folders_of_hydra_are_settled_with_everything_else() -> None:
    (job,) = check("train", TrainJob, ["hydra.run.dir=somewhere"], multirun=False)
    (swept,) = check("train", TrainJob, ["hydra.sweep.dir=elsewhere"], multirun=True)
    assert (job.folder, swept.folder) == ("somewhere", "elsewhere")
    with pytest.raises(SettingsError, match=r"(?s)hydra.run.dir: .*nope.*seed: -1"):
        check("train", TrainJob, ["hydra.run.dir=${nope}", "seed=-1"], multirun=False)
    with pytest.raises(SettingsError, match="hydra.sweep.dir: "):
        check("train", TrainJob, ["hydra.sweep.dir=???"], multirun=True)


def test_weights_of_classes_are_typed_as_a_mapping_and_come_back_from_a_recorded_file() -> None:
    jobs = check("train", TrainJob, ["class_weight={3:2,7:0.5},balanced,null", "data=digits"], multirun=True)
    told = [job.settings.training() for job in jobs]
    assert [one.class_weight for one in told] == [{"3": 2.0, "7": 0.5}, "balanced", None]
    assert [TrainSettings.build(read_yaml(to_yaml(one), "config.yaml")) for one in told] == told


def test_a_hydra_that_runs_goes_on_afterwards() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        running = GlobalHydra.instance().hydra
        assert overrides("seed=1,2") == ["seed=1", "seed=2"]
        assert GlobalHydra.instance().hydra is running is not None


@pytest.mark.parametrize("word", ["search.n_workers=100000", "search.timeout_s=1e300", "winner.n_seeds=1000000000"])
def test_amounts_of_a_search_have_upper_ends(word: str) -> None:
    # Only checked: a process that took it would start that many.
    with pytest.raises(SettingsError, match=f"{word.partition('=')[0]}: .* does not fit"):
        check("search", SearchJob, [word], multirun=False)

"""Groups in a space: a choice of a file, what is searched with it, and every mistake named."""

import contextlib
import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlpsweep.errors import SettingsError
from mlpsweep.search.recipe import fixed_deltas, winner_recipe
from mlpsweep.search.settings import SAMPLER_NAMES, SpaceSettings
from mlpsweep.search.space import Space
from mlpsweep.search.worker import work
from mlpsweep.settings import AdamSettings, MomentumSettings, OptimizerSettings
from tests.search_lab import CARD, CONF, base_settings, make_plan, make_services, make_space, new_study, search_settings

ADAMS = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
SHARE = {"type": "float", "low": 0.5, "high": 0.99}
RATE = {"type": "float", "low": 0.003, "high": 0.3, "log": True}
LAYERS = {"type": "widths", "depth": {"low": 0, "high": 2}, "width": {"low": 4, "high": 64, "log": True}}
OPTIMIZER: dict[str, Any] = {
    "type": "group",
    "choices": {"sgd": {}, "momentum": {"momentum": SHARE, "nesterov": False}, "adam": {"learning_rate": ADAMS}},
}
SPACE: dict[str, Any] = {"dimensions": {"learning_rate": RATE, "optimizer": OPTIMIZER}}


def at(space: Space, u: float = 0.5, **fixed: Any) -> dict[str, Any]:
    return space.draw(lambda leaf: fixed.get(leaf.name, leaf.from_unit(u)))


def test_what_is_drawn_depends_on_the_choice() -> None:
    space = make_space(SPACE)
    drawn = {name: set(at(space, optimizer=name)) for name in ("sgd", "momentum", "adam")}
    assert drawn == {
        "sgd": {"optimizer", "learning_rate"},
        "momentum": {"optimizer", "optimizer.momentum@momentum", "learning_rate"},
        "adam": {"optimizer", "learning_rate@adam"},
    }


def test_a_choice_becomes_the_settings_of_its_group() -> None:
    space = make_space(SPACE)
    params = at(space, 0.0, optimizer="momentum")
    assert space.settings(params).optimizer == MomentumSettings(momentum=0.5, nesterov=False)
    assert space.overrides(params) == {"optimizer": "momentum", "optimizer.momentum": 0.5, "learning_rate": 0.003}
    adam = space.settings(at(space, 0.0, optimizer="adam"))
    assert (adam.optimizer, adam.learning_rate) == (AdamSettings(), pytest.approx(1e-4))
    assert space.settings(at(space, optimizer="sgd")).optimizer == OptimizerSettings()


def test_the_searched_groups_own_values_hold_for_its_own_choice() -> None:
    space = make_space(SPACE, optimizer={"name": "adam", "beta_1": 0.7})
    assert space.settings(at(space, optimizer="adam")).optimizer == AdamSettings(beta_1=0.7)


@pytest.mark.parametrize(
    ("base", "leaves"),
    [
        ({}, {"optimizer": "sgd", "learning_rate": 0.01}),
        (
            {"optimizer": {"name": "momentum", "momentum": 0.6, "nesterov": False}},
            {"optimizer": "momentum", "optimizer.momentum@momentum": 0.6, "learning_rate": 0.01},
        ),
        ({"optimizer": {"name": "adam"}, "learning_rate": 0.001}, {"optimizer": "adam", "learning_rate@adam": 0.001}),
        ({"optimizer": {"name": "adam"}, "learning_rate": 0.1}, None),
        ({"optimizer": {"name": "momentum", "momentum": 0.6}}, None),
    ],
    ids=["sgd", "momentum", "adam", "a rate outside", "another fixed value"],
)
def test_the_baseline_is_a_point_of_the_space_or_none(base: dict[str, Any], leaves: dict[str, Any] | None) -> None:
    assert make_space(SPACE, **base).baseline() == leaves


def test_a_fixed_value_a_choice_and_a_range_each_make_another_study_and_their_order_in_the_file_does_not() -> None:
    names = {make_plan(SPACE).name}
    for change in ({"nesterov": True}, {"momentum": {**SHARE, "low": 0.6}}, {"learning_rate": ADAMS}):
        other = copy.deepcopy(SPACE)
        other["dimensions"]["optimizer"]["choices"]["momentum"] |= change
        names.add(make_plan(other).name)
    assert len(names) == 4
    assert make_plan({"dimensions": dict(reversed(SPACE["dimensions"].items()))}).name in names


def test_a_setting_that_only_one_choice_searches_is_part_of_the_identity() -> None:
    adam = {"dimensions": {"optimizer": OPTIMIZER}}
    assert make_plan(adam).name != make_plan(adam, learning_rate=0.1).name
    assert make_plan(SPACE).name == make_plan(SPACE, learning_rate=0.1).name


@pytest.mark.parametrize(
    ("space", "name"),
    [(CARD, "digits-8fc69580"), (yaml.safe_load((CONF / "space/card.yaml").read_text()), "digits-38167fa0")],
    ids=["lab", "card.yaml"],
)
def test_spaces_without_groups_keep_the_names_of_their_studies(space: dict[str, Any], name: str) -> None:
    assert make_plan(space).name == name


CHOICE = "dimensions.optimizer.choices"
MISTAKES = {
    "no choices": ({}, rf"{CHOICE}: {{}}; expected a mapping from files of conf/optimizer/"),
    "a list": (["sgd", "adam"], rf"{CHOICE}: \['sgd', 'adam'\]; expected a mapping"),
    "an unknown file": ({"adamm": {}}, rf"{CHOICE}.adamm: 'adamm' is not known; .*did you mean adam\?"),
    "an odd name": ({"a.b c": {}}, rf"{CHOICE}.a.b c: no name of a file; expected letters, digits"),
    "a number": ({1: {}}, rf"{CHOICE}.1: no name of a file"),
    "no mapping": ({"adam": 3}, rf"{CHOICE}.adam: 3; expected what is searched with it, or {{}}"),
    "a key of another": ({"adam": {"momentum": SHARE}}, rf"{CHOICE}.adam.momentum: neither a key of adam nor"),
    "a near key": ({"adam": {"beta1": SHARE}}, rf"{CHOICE}.adam.beta1: .*did you mean beta_1\?"),
    "a fixed setting": ({"adam": {"seed": {"type": "int", "low": 0, "high": 9}}}, rf"{CHOICE}.adam.seed: neither"),
    "a group": (
        {"adam": {"schedule": {"type": "group", "choices": {"step": {}}}}},
        rf"{CHOICE}.adam.schedule: a group",
    ),
    "a group for a key": ({"adam": {"beta_1": {"type": "group"}}}, rf"{CHOICE}.adam.beta_1: a group in a group"),
    "a value": ({"adam": {"learning_rate": 0.1}}, rf"{CHOICE}.adam.learning_rate: 0.1; expected a range such as"),
    "a bad value": ({"adam": {"beta_1": 2}}, rf"{CHOICE}.adam.beta_1: 2 does not fit; expected a finite number >= 0"),
    "a bad end": ({"adam": {"beta_1": {**SHARE, "high": 1}}}, rf"{CHOICE}.adam.beta_1: the space holds 1.0; expected"),
    "a bad range": ({"adam": {"beta_1": {**SHARE, "low": 3}}}, rf"{CHOICE}.adam.beta_1: low 3 is above high 0.99"),
    "a bad key": ({"adam": {"beta_1": {**SHARE, "hihg": 3}}}, rf"{CHOICE}.adam.beta_1.hihg: no such key"),
    "a name": ({"adam": {"name": SHARE}}, rf"{CHOICE}.adam: .*is not known; expected one of adam, momentum, sgd"),
}


@pytest.mark.parametrize(("choices", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_below_a_group_is_named(choices: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{message}"):
        SpaceSettings.build({"dimensions": {"optimizer": {"type": "group", "choices": choices}}})


@pytest.mark.parametrize(
    ("dimensions", "message"),
    [
        ({"optimizer": {"type": "categorical", "choices": ["sgd"]}}, "optimizer.type: 'categorical' is not known"),
        ({"data": {"type": "group", "choices": {"digits": {}}}}, "data: not a setting that can be searched"),
        (
            {
                "optimizer": {"type": "group", "choices": {"adam": {"dropout": SHARE}}},
                "schedule": {"type": "group", "choices": {"step": {"dropout": SHARE}}},
            },
            "optimizer.choices and schedule.choices: both have ranges of dropout",
        ),
        (
            {"hidden_sizes": {"type": "widths", "depth": {"low": 1, "high": 10**9}, "width": {"low": 1, "high": 2}}},
            "hid",
        ),
        ({"dropout": {"type": "float", "low": 0, "high": 10**400}}, "dropout.high: 1000.*; expected a finite number"),
        ({"dropout": {"type": "float", "low": 0, "high": 0.5, "step": 1e-300}}, "dropout: step 1e-300 is too small"),
    ],
    ids=["no group", "no family", "ranges twice", "endless depth", "endless number", "endless steps"],
)
def test_a_space_that_cannot_be_is_refused(dimensions: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=rf"^dimensions\.{message}"):
        SpaceSettings.build({"dimensions": dimensions})


def test_mistakes_below_several_choices_come_at_once() -> None:
    choices = {"adam": {"beta_1": 2, "learning_rate": 3}, "momentum": {"nesterov": 1}, "sgdd": {}}
    with pytest.raises(SettingsError) as caught:
        SpaceSettings.build({"dimensions": {"optimizer": {"type": "group", "choices": choices}}})
    assert len(caught.value.messages) == 4


def test_every_pair_that_cannot_fit_is_named_with_its_cause_alone() -> None:
    dimensions = {
        "optimizer": OPTIMIZER,
        "activation": {"type": "categorical", "choices": ["relu", ["relu", "tanh"], "tanh"]},
        "hidden_sizes": {"type": "categorical", "choices": [[8, 8], [8], [9, 9]]},
        "initializer": {"type": "categorical", "choices": ["normal", "he_normal"]},
    }
    with pytest.raises(SettingsError) as caught:
        make_space({"dimensions": dimensions})
    assert [message.split(": ")[:3] for message in sorted(caught.value.messages)] == [
        ["space", 'activation=["relu", "tanh"] hidden_sizes=[8]', "activation"],
        ["space", "initializer=normal", "init_std"],
    ]


def test_the_smallest_network_of_any_choice_counts() -> None:
    widths = {"type": "widths", "depth": {"low": 1, "high": 1}, "width": {"low": 100, "high": 200}}
    small = {"type": "categorical", "choices": [[4]]}
    group = {"type": "group", "choices": {"sgd": {}, "adam": {"hidden_sizes": small}}}
    space = {"dimensions": {"optimizer": group, "hidden_sizes": widths}, "max_parameters": 1000}
    assert make_space(space).max_parameters == 1000


# A property: what is drawn from any space becomes settings, and these the same leaves again.

NUMBERS = st.sampled_from((
    {"low": 0.1, "high": 0.5}, {"low": 0.01, "high": 0.9, "log": True}, {"low": 0, "high": 0.8, "step": 0.2},
    {"low": 0.25, "high": 0.25},
)).map(lambda spec: {"type": "float", **spec})  # fmt: skip
POSITIVE = NUMBERS.filter(lambda spec: spec["low"] > 0)
COUNTS = st.sampled_from(({"low": 1, "high": 9}, {"low": 2, "high": 90, "log": True}, {"low": 4, "high": 9, "step": 2}))
INTEGERS = COUNTS.map(lambda spec: {"type": "int", **spec})
SWITCH = st.permutations([True, False]).map(lambda values: {"type": "categorical", "choices": values})
NAMES = st.lists(st.sampled_from(["relu", "tanh", "elu"]), min_size=1, unique=True)
PLAIN = {
    "learning_rate": POSITIVE, "l2_lambda": NUMBERS, "batch_size": INTEGERS, "shuffle": SWITCH, "dropout": NUMBERS,
    "activation": NAMES.map(lambda names: {"type": "categorical", "choices": names}), "hidden_sizes": st.just(LAYERS),
}  # fmt: skip


def some(keys: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


def group(choices: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return some(choices).filter(bool).map(lambda told: {"type": "group", "choices": told})


RERANGED = {name: PLAIN[name] for name in ("learning_rate", "hidden_sizes", "batch_size")}
OPTIMIZERS = group({
    "sgd": some(RERANGED) | st.none(),
    "momentum": some({"momentum": NUMBERS | st.just(0.8), "nesterov": SWITCH | st.booleans(), **RERANGED}),
    "adam": some({"beta_1": NUMBERS, "beta_2": NUMBERS, "epsilon": POSITIVE, "weight_decay": NUMBERS, **RERANGED}),
})  # fmt: skip
SCHEDULES = group({
    "constant": st.just({}),
    "cosine": some({"warmup_fraction": NUMBERS, "dropout": NUMBERS}),
    "step": some({"every_epochs": INTEGERS, "factor": POSITIVE, "dropout": NUMBERS}),
})  # fmt: skip
SPECS = some({"optimizer": OPTIMIZERS, "schedule": SCHEDULES, **PLAIN}).filter(bool)


@given(SPECS, st.randoms(use_true_random=False))
def test_what_is_drawn_from_any_space_goes_to_settings_and_back(spec: dict[str, Any], random: Any) -> None:
    space = make_space({"dimensions": spec})
    kinds = space.distributions()
    params = space.draw(lambda leaf: leaf.from_unit(random.random()))
    assert all(kinds[name]._contains(kinds[name].to_internal_repr(value)) for name, value in params.items())
    settings = space.settings(params)
    assert dataclasses.replace(space, base=settings).baseline() == params
    assert space.with_values({}, params) == params
    assert set(space.overrides(params)) >= space.decides


JUNK = st.sampled_from((
    None, True, -1, 0, 1.5, 10**400, -(10**400), 1e308, math.nan, math.inf, "", "x", "日本", "a.b", "1e-3", [], [1], {},
    {"type": "group"}, {"type": "group", "choices": {"sgd": {}}}, [[]], [{}], {"low": 1, "high": 2}, {1: 2}, "group",
    {"type": "float", "low": 1, "high": 2}, {None: None}, "sgd", b"\x00",
))  # fmt: skip


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
    return [place for key in keys for place in [(*path, key), *places(node[key], (*path, key))]]


@given(SPECS, st.data())
def test_a_changed_space_is_taken_or_refused_with_a_sentence(spec: dict[str, Any], data: st.DataObject) -> None:
    spec = copy.deepcopy(spec)
    *path, key = data.draw(st.sampled_from(places(spec)))
    node: Any = spec
    for step in path:
        node = node[step]
    if isinstance(node, dict) and data.draw(st.booleans()):
        node[data.draw(st.sampled_from(["", "x", 3, None, "a b", "optimizer", "adam", "low"]))] = node.pop(key)
    else:
        node[key] = data.draw(JUNK)
    with contextlib.suppress(SettingsError):
        make_space({"dimensions": spec})


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
def test_every_sampler_searches_groups(sampler: str, tmp_path: Path) -> None:
    spec = copy.deepcopy(SPACE)
    study = new_study(tmp_path, make_plan(spec, n_epochs=2))
    work(study, search_settings(sampler=sampler, n_trials=13), make_services())
    trials = study.trials()
    assert {trial.params["optimizer"] for trial in trials} == {"sgd", "momentum", "adam"}
    assert all(set(trial.params) == set(at(study.plan.space, **trial.params)) for trial in trials)


def test_the_winners_recipe_chooses_the_file_and_writes_its_own_keys(tmp_path: Path) -> None:
    def defaults(groups: Any) -> Any:
        return base_settings(**{name: {"name": choice} for name, choice in groups.items()})

    only = {"dimensions": {"learning_rate": RATE, "optimizer": {**OPTIMIZER, "choices": {"momentum": {
        "momentum": SHARE, "nesterov": False}}}}}  # fmt: skip
    study = new_study(tmp_path, make_plan(only))
    work(study, search_settings(n_trials=3), make_services())
    won = study.complete()[0]
    settings = study.plan.space.settings(won.params)
    told = yaml.safe_load(winner_recipe(study, fixed_deltas(settings, defaults, study.plan.space.decides)))
    assert told["defaults"] == [{"override /optimizer": "momentum"}]
    assert told["optimizer"] == {"momentum": won.params["optimizer.momentum@momentum"], "nesterov": False}
    assert told["learning_rate"] == won.params["learning_rate"]
    assert not [name for name in told if "." in name or "@" in name]

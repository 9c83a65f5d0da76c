"""A search's groups on the command line: files of conf/ and of --config-dir, all faults before anything runs."""

from pathlib import Path
from typing import Any

import pytest

from mlpsweep.errors import SettingsError
from pipeline.compose import check
from pipeline.settings import SearchJob


def choices(*words: str, config_dir: Path | None = None) -> dict[str, Any]:
    folder = str(config_dir) if config_dir else None
    (job,) = check("search", SearchJob, ["data=digits", *words], multirun=False, config_dir=folder)
    found: dict[str, Any] = job.settings.space.dimensions["optimizer"]["choices"]
    return found


def group(told: str) -> str:
    return f"space.dimensions={{optimizer:{{type:group,choices:{told}}}}}"


def test_a_choice_is_what_its_file_holds() -> None:
    found = choices("space=wide")
    assert found["sgd"] == {"name": "sgd"}
    assert {name: found["adam"][name] for name in ("name", "beta_1", "epsilon")} == {
        "name": "adam", "beta_1": 0.9, "epsilon": 1e-8}  # fmt: skip
    assert found["momentum"]["momentum"] == {"type": "float", "low": 0.5, "high": 0.99}


def test_what_the_command_line_says_of_the_chosen_file_holds_for_that_choice() -> None:
    found = choices("space=wide", "optimizer=momentum", "optimizer.nesterov=false")
    assert found["momentum"]["nesterov"] is False
    assert choices("space=wide", "optimizer=adam")["momentum"]["nesterov"] is True


def test_what_the_space_says_goes_before_the_file() -> None:
    found = choices(group("{momentum:{nesterov:false},adam:null}"))
    assert found == {
        "momentum": {"name": "momentum", "momentum": 0.9, "nesterov": False},
        "adam": {"name": "adam", "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0},
    }


def test_a_file_of_ones_own_is_a_choice_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer/heavy.yaml").write_text("name: momentum\nmomentum: 0.97\nnesterov: true\n")
    words = group("{heavy:{},momentum:{}}")
    found = choices(words, config_dir=tmp_path)
    assert [found[name]["momentum"] for name in ("heavy", "momentum")] == [0.97, 0.9]
    assert choices(words, "optimizer=heavy", "optimizer.momentum=0.5", config_dir=tmp_path)["heavy"]["momentum"] == 0.5
    with pytest.raises(SettingsError, match="choices.heavy: 'heavy' is not known"):
        choices(words)


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["space.dimensions.optimizer={type:group}"], ["space.dimensions.optimizer: no such setting"]),
        ([group("{adamm:{},sgd:3}")], ["space.dimensions.optimizer.choices"] * 2),
        ([group("[sgd]")], ["space.dimensions.optimizer.choices: ['sgd']; expected a mapping"]),
        ([group("${seed}")], ["space.dimensions.optimizer.choices: 0; expected a mapping"]),
        ([group("{'':{}}")], ["space.dimensions={"]),
        (
            [group("{adam:{batch_size:{type:int,low:8,high:5000}},sgd:{}}"), "n_epochs=1"],
            ["space: batch_size: 5000; expected at most the 1137 rows"],
        ),
        (
            ["space=wide", "space.dimensions.initializer.choices=[normal,he_normal]"],
            ["space: initializer=normal: init_std: None"],
        ),
        (["space.dimensions.hidden_sizes.width.high=1000000"], ["space: hidden_sizes: [1000000, 1000000, 1000000]"]),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_before_anything_runs(words: list[str], messages: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        choices(*words)
    assert len(caught.value.messages) == len(messages)
    for told, message in zip(caught.value.messages, messages, strict=True):
        assert told.startswith(message)


def test_a_network_beyond_the_bound_is_never_trained_and_so_needs_no_memory() -> None:
    words = ["data=digits", "space.dimensions.hidden_sizes.width.high=1000000", "space.max_parameters=1000000"]
    assert check("search", SearchJob, words, multirun=False)

"""Passwords on a command line: a reference in their place, the password itself in the settings that need it."""

import os
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpsweep.errors import SettingsError
from mlpsweep.passwords import private
from pipeline.compose import check, quoted
from pipeline.secrets import VARIABLE, without_secrets
from pipeline.settings import TrainJob

PASSWORDS = st.text(string.ascii_letters + string.digits + "@/:%!~+,[]()=-_.", min_size=8, max_size=20).map(
    "pW{}Wp".format
)


@pytest.fixture(scope="module", autouse=True)
def _own_environment() -> object:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@given(
    PASSWORDS, st.sampled_from(["postgresql://u:{}@h/x", "http://h:5000/?token={}", "mysql://h/x?user=u&password={}"])
)
def test_a_store_is_reached_with_the_password_that_no_word_holds(password: str, address: str) -> None:
    address = address.format(password)
    words = without_secrets(["data=digits", f"tracking.uri={quoted(address)}"])
    assert password not in " ".join(words)
    assert words[1].startswith(f"tracking.uri=${{oc.env:{VARIABLE}")
    (job,) = check(
        "train", TrainJob, ["data=digits", f"tracking.experiment={words[1].partition('=')[2]}"], multirun=False
    )
    assert job.settings.tracking.experiment == address
    assert password not in " ".join(job.overrides)


@settings(max_examples=20)
@given(PASSWORDS)
def test_a_mirror_is_asked_with_the_password_that_no_setting_holds(password: str) -> None:
    words = without_secrets([f"data.mirrors=[{quoted(f'https://u:{password}@h/x')},https://a.example/]"])
    assert password not in words[0]
    jobs = check("train", TrainJob, [*words, "seed=1,2"], multirun=True)
    for job in jobs:
        assert job.settings.data.mirrors == ("https://h/x", "https://a.example/")
        assert private("https://h/x") == f"https://u:{password}@h/x"
        assert password not in repr(job)


def test_other_words_stay_as_they_are() -> None:
    words = ["-m", "seed=1,2", "data.mirrors=[https://h/x]", "--config-dir", "a@b", "recipe=[a,b]", "=", "[://@"]
    assert without_secrets(words) == words


def test_values_of_a_sweep_have_references_of_their_own() -> None:
    (word,) = without_secrets(["tracking.uri=https://a:PWa@h,https://b:PWb@h"])
    first, second = word.removeprefix("tracking.uri=").split(",")
    assert first != second
    assert {first[:9], second[:9]} == {"${oc.env:"}


def test_a_file_with_a_password_is_not_swept(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/mine.yaml").write_text("# @package _global_\ndata: {mirrors: ['https://u:PW@h/x']}\n")
    words = ["recipe=mine", "seed=1"]
    (job,) = check("train", TrainJob, words, multirun=False, config_dir=str(tmp_path))
    assert job.settings.data.mirrors == ("https://h/x",)
    with pytest.raises(SettingsError, match=r"configuration: https://\*\*\*@h/x stands in a file, with its password"):
        check("train", TrainJob, words, multirun=True, config_dir=str(tmp_path))

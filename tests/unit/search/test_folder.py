"""The folder of a search: what is written is what is read, and wall times stay out of it."""

import dataclasses
from pathlib import Path

import pytest

from mlpsweep.errors import DataFormatError
from mlpsweep.files import write_json
from mlpsweep.search import winner
from mlpsweep.search.finalists import finalists, train_finalists
from mlpsweep.search.folder import SearchFolder
from mlpsweep.search.rows import Search
from mlpsweep.search.settings import WinnerSettings
from mlpsweep.search.study import Study
from mlpsweep.search.worker import work
from tests.search_lab import fake_run_key, make_services, new_study, search_settings

WINNER = WinnerSettings(top_k=2, n_seeds=2)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = new_study(tmp_path_factory.mktemp("study"))
    work(study, search_settings(n_trials=6), make_services())
    train_finalists(study, WINNER, make_services())
    return study


def saved(study: Study, path: Path) -> tuple[SearchFolder, Search]:
    compared, folder = finalists(study, WINNER, fake_run_key), SearchFolder(path)
    search = winner.search_of(study, compared)
    folder.save(search, winner.summary(study, compared), "seed: 0\n")
    return folder, search


def test_a_search_is_read_as_it_was_saved(study: Study, tmp_path: Path) -> None:
    folder, search = saved(study, tmp_path / "search")
    read = folder.read()
    assert dataclasses.replace(read, finalists=()) == dataclasses.replace(search, finalists=())
    assert len(read.finalists) == 2
    assert read.finalists == search.finalists
    assert folder.summary()["winner"]["trial"] == winner.winning_trial(study, search.finalists).number


def test_files_with_wall_times_lie_beside_the_folder(study: Study, tmp_path: Path) -> None:
    folder, _ = saved(study, tmp_path / "search")
    names = [str(path.relative_to(tmp_path)) for path in folder.files()]
    assert names == ["search/recipe/winner.yaml", "search/summary.json", "search/trials.csv", "search.times.csv"]
    folder.file("times.csv").unlink()
    assert {trial.stints for trial in folder.trials()} == {()}


def test_a_folder_without_trials_holds_no_search(study: Study, tmp_path: Path) -> None:
    assert not SearchFolder(tmp_path / "search").exists()
    assert saved(study, tmp_path / "search")[0].exists()


@pytest.mark.parametrize("told", [[], {"metric": "validation/accuracy"}])
def test_a_summary_that_is_none_is_refused_by_its_name(study: Study, tmp_path: Path, told: object) -> None:
    folder, _ = saved(study, tmp_path / "search")
    write_json(folder.file("summary.json"), told)
    with pytest.raises(DataFormatError, match=r"search/summary\.json: .*dvc repro"):
        folder.read()

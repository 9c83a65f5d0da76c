"""Folders that a door would write into: its own, empty ones, and no other; looked at before a run opens."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlpsweep.errors import MlpsweepError, SettingsError

if TYPE_CHECKING:
    from pipeline.compose import Job

COMPARISON: Final = frozenset({"comparison.csv", "comparison.html", "comparison.png"})


def refuse_foreign(jobs: "Sequence[Job]", *, multirun: bool) -> None:
    """Raise if the folder of a job holds files that no door wrote, or lies outside without being named in full.

    Raises
    ------
    SettingsError
        With one message for each such folder.
    """
    faults = (fault for name, folder in _named(jobs, multirun=multirun) for fault in _faults(name, folder))
    if messages := tuple(dict.fromkeys(faults)):
        raise SettingsError(*messages)


def _named(jobs: "Sequence[Job]", *, multirun: bool) -> Iterator[tuple[str, Path]]:
    """Yield the key and the folder of each place that the jobs write into."""
    for number, job in enumerate(jobs):
        if output_dir := getattr(job.settings, "output_dir", None):
            yield "output_dir", Path(output_dir)
        elif model_dir := getattr(job.settings, "model_dir", None):
            yield "model_dir", _evaluation_of(Path(model_dir))
        elif multirun:
            yield "hydra.sweep.dir", Path(job.folder) / str(number)
        else:
            yield "hydra.run.dir", Path(job.folder)


def _evaluation_of(model_dir: Path) -> Path:
    from mlpsweep.evaluation.folder import EvaluationFolder

    return EvaluationFolder.beside(model_dir.resolve()).path


def _faults(name: str, folder: Path) -> Iterator[str]:
    here, there = Path.cwd().resolve(), folder.resolve()
    if ".." in folder.parts and not folder.is_absolute() and not there.is_relative_to(here):
        yield (
            f"{name}: {folder} lies outside the folder of the command; expected a folder in it, or one named in full. "
            f"If you mean it: {name}={there}"
        )
        return
    # A new folder gets another name if this one is taken, unless the command is typed in it.
    is_new = name == "hydra.run.dir" and not here.is_relative_to(there)
    if not is_new and (found := _not_ours(folder, is_project=here == there)):
        yield (
            f"{name}: {folder} holds {found}, which no command of this pipeline wrote; expected a new folder, an empty "
            f"one, or an earlier output. Example: {name}=outputs/mine"
        )


def _not_ours(folder: Path, *, is_project: bool) -> str | None:
    """Return the name of a file that makes a folder another's; None if the folder may be written."""
    try:
        names = sorted(path.name for path in folder.iterdir() if not path.name.endswith(".part"))
    except OSError:  # missing, or not to be read: who writes is told
        return None
    names = [name for name in names if name in _replaced()] if is_project else names
    return names[0] if names and not _is_ours(folder, names) else None


def _replaced() -> frozenset[str]:
    """Return the names of all outputs: in the folder of the project itself lie other files too."""
    from mlpsweep.evaluation.folder import WRITTEN as EVALUATION
    from mlpsweep.search.folder import WRITTEN as SEARCH
    from mlpsweep.training.folder import TrainingFolder

    return frozenset({path.name for path in TrainingFolder(Path()).outputs} | COMPARISON.union(EVALUATION, SEARCH))


def _is_ours(folder: Path, names: Iterable[str]) -> bool:
    """Tell whether a reader of outputs takes what the folder holds."""
    from mlpsweep.evaluation.folder import EvaluationFolder
    from mlpsweep.search.folder import SearchFolder
    from mlpsweep.training.folder import TrainingFolder

    training = TrainingFolder(folder)

    def record() -> None:
        if training.record() is None:
            raise LookupError

    return COMPARISON.issuperset(names) or any(
        map(
            _reads,
            (
                training.settings,
                record,
                EvaluationFolder(folder).metrics,
                lambda: SearchFolder(folder).summary()["study"],
                lambda: SearchFolder(folder).trials()[0],
            ),
        )
    )


def _reads(read: Callable[[], object]) -> bool:
    try:
        read()
    except (MlpsweepError, LookupError, OSError):
        return False
    return True

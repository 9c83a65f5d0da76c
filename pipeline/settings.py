"""What a door takes beside the library's settings: folders, and where to write."""

from collections.abc import Iterable
from dataclasses import dataclass

from mlpsweep import rules
from mlpsweep.rules import key
from mlpsweep.schema import Settings
from mlpsweep.search.corners import unfit
from mlpsweep.search.settings import STORAGE, SearchSettings, SpaceSettings, WinnerSettings
from mlpsweep.settings import MAX_EPOCHS, MAX_SEED, DataSettings, OriginSettings, TrainSettings
from mlpsweep.tracking.settings import TrackingSettings

RUN_ID = rules.matching("[0-9a-f]{32}", "a run id of 32 hexadecimal digits")


@dataclass(frozen=True, kw_only=True)
class PathSettings(Settings):
    """Folders of the pipeline, relative to the current one."""

    raw: str = key(
        rules.TEXT, "downloaded files, one folder per data set", "data/raw", default="data/raw", identity=False
    )
    prepared: str = key(
        rules.TEXT,
        "arrays, split and manifest, one folder per data set",
        "data/prepared",
        default="data/prepared",
        identity=False,
    )
    artifacts: str = key(
        rules.TEXT,
        "what the DVC pipeline makes, one folder per data set",
        "artifacts",
        default="artifacts",
        identity=False,
    )


@dataclass(frozen=True, kw_only=True)
class DataJob(Settings):
    """Settings of ``download`` and ``prepare``."""

    data: DataSettings
    paths: PathSettings = PathSettings()


@dataclass(frozen=True, kw_only=True)
class TrainJob(TrainSettings):
    """Settings of ``train``."""

    output_dir: str | None = key(
        rules.optional(rules.TEXT),
        "folder to write; null: a new one",
        "artifacts/mnist/train/relu",
        default=None,
        identity=False,
    )
    reuse: bool | None = key(
        rules.optional(rules.BOOLEAN),
        "take an equal training's outputs; null: with -m only",
        "false",
        default=None,
        identity=False,
    )
    resume: bool = key(
        rules.BOOLEAN,
        "go on with an interrupted training of the same settings",
        "true",
        default=False,
        identity=False,
    )
    origin: OriginSettings = OriginSettings()
    paths: PathSettings = PathSettings()
    tracking: TrackingSettings = TrackingSettings()

    def training(self) -> TrainSettings:
        """Return the settings of the training alone, with its number of epochs."""
        names = TrainSettings.__dataclass_fields__
        return TrainSettings(**{name: getattr(self, name) for name in names} | {"n_epochs": self.total_epochs})


@dataclass(frozen=True, kw_only=True)
class SearchJob(TrainJob):
    """Settings of ``search``: those of a training, and what is searched in which way."""

    n_epochs: int | None = key(
        rules.optional(rules.integer(0, MAX_EPOCHS)),
        "epochs of each trial; null: half of the data set's own budget, rounded up",
        "8",
        default=None,
    )
    worker: int | None = key(
        rules.optional(rules.integer(0, 1000)),
        "worker number, set by a launcher: -m worker=range(4) starts four",
        "0",
        default=None,
        identity=False,
    )
    search: SearchSettings = SearchSettings()
    winner: WinnerSettings = WinnerSettings()
    space: SpaceSettings

    @property
    def total_epochs(self) -> int:
        """Epochs of each trial."""
        return -(-self.data.n_epochs // 2) if self.n_epochs is None else self.n_epochs

    def conflicts(self) -> Iterable[str]:
        """Yield a message for each conflict between fields."""
        yield from super().conflicts()
        if self.resume:
            yield "resume: true; a search always goes on where it was stopped. Leave resume out"
        if not any(super().conflicts()):
            yield from (f"space: {fault}" for fault in unfit(self.space.parse(), self.training()))


@dataclass(frozen=True, kw_only=True)
class EvaluateJob(Settings):
    """Settings of ``evaluate``."""

    model_dir: str = key(rules.TEXT, "folder that train wrote", "artifacts/mnist/train/relu")
    output_dir: str | None = key(
        rules.optional(rules.TEXT),
        "folder to write; null: model_dir with .evaluation behind it",
        "artifacts/mnist/evaluate/relu",
        default=None,
    )
    register: bool = key(rules.BOOLEAN, "make the model the champion of MLflow's model registry", "true", default=False)
    paths: PathSettings = PathSettings()
    tracking: TrackingSettings = TrackingSettings()


@dataclass(frozen=True, kw_only=True)
class VerifyJob(Settings):
    """Settings of ``verify``."""

    model_dir: str = key(rules.TEXT, "folder that train wrote", "artifacts/mnist/train/relu")
    paths: PathSettings = PathSettings()
    tracking: TrackingSettings = TrackingSettings()


@dataclass(frozen=True, kw_only=True)
class CompareJob(Settings):
    """Settings of ``compare``."""

    sweep: str | None = key(
        rules.optional(rules.TEXT),
        "a multirun's folder, a study's name, or the name or id of the parent run",
        "multirun/2026-01-31/12-00-00",
        default=None,
    )
    run_ids: tuple[str, ...] = key(
        rules.list_of(RUN_ID, may_be_empty=True),
        "ids of further runs",
        "[0123456789abcdef0123456789abcdef]",
        default=(),
    )
    metric: str = key(rules.TEXT, "what rows are ordered by", "test/accuracy", default="validation/accuracy")
    output_dir: str | None = key(
        rules.optional(rules.TEXT), "folder to write; null: a new one", "outputs/comparison", default=None
    )
    tracking: TrackingSettings = TrackingSettings()

    def conflicts(self) -> Iterable[str]:
        """Yield a message if no runs are named."""
        if not self.sweep and not self.run_ids:
            yield (
                "sweep: not given, and run_ids is empty; expected at least one of them. "
                "Example: sweep=multirun/2026-01-31/12-00-00; `mlflow ui` shows names and ids"
            )


@dataclass(frozen=True, kw_only=True)
class ReportJob(Settings):
    """Settings of ``report``: which data set's models it shows."""

    data: DataSettings
    paths: PathSettings = PathSettings()


@dataclass(frozen=True, kw_only=True)
class StudyPlace(Settings):
    """Where the studies are."""

    storage: str | None = key(
        rules.optional(STORAGE),
        "database of the study; null: MLPSWEEP_STORAGE or mlruns/optuna.db",
        "postgresql://host/studies",
        default=None,
    )
    folder: str | None = key(
        rules.optional(rules.TEXT),
        "folder for checkpoints; null: beside the database's file or in mlruns/",
        "/mnt/studies",
        default=None,
    )


@dataclass(frozen=True, kw_only=True)
class DoctorJob(Settings):
    """Settings of ``doctor``."""

    fix: bool = key(rules.BOOLEAN, "mend what is safe to mend", "true", default=False)
    search: StudyPlace = StudyPlace()
    paths: PathSettings = PathSettings()
    tracking: TrackingSettings = TrackingSettings()


@dataclass(frozen=True, kw_only=True)
class RecipesJob(Settings):
    """Settings of ``recipes``."""

    names: tuple[str, ...] | None = key(
        rules.optional(rules.list_of(rules.TEXT, may_be_empty=False)),
        "files of conf/recipe/; null: all",
        "[manual_tanh]",
        default=None,
    )
    seeds: tuple[int, ...] = key(
        rules.list_of(rules.integer(0, MAX_SEED), may_be_empty=False),
        "seeds each recipe is trained with",
        "[0,1,2]",
        default=(0, 1, 2),
    )
    n_workers: int = key(rules.integer(1, 256), "processes", "2", default=2)
    reuse: bool = key(rules.BOOLEAN, "take the outputs of an equal training that is there", "true", default=True)
    output_dir: str = key(rules.TEXT, "folder for models and evaluations", "outputs/recipes", default="outputs/recipes")
    page: str = key(rules.TEXT, "file to write", "docs/results.md", default="docs/results.md")
    paths: PathSettings = PathSettings()
    tracking: TrackingSettings = TrackingSettings()

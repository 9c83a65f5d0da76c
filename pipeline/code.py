"""What files of a configuration may say of Hydra itself: no more than a command line may, and nothing that names code.

Nothing is run here: a composed configuration is looked at before Hydra makes anything of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from hydra import compose
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from mlpsweep.errors import SettingsError
from pipeline.words import is_of_hydra

# The launchers that Hydra's own packages bring.
LAUNCHERS: Final = ("basic", "joblib", "submitit_local", "submitit_slurm", "ray", "ray_aws")
# What differs from command to command, or may be chosen on a command line.
FREE: Final = (
    "hydra.run", "hydra.sweep", "hydra.verbose", "hydra.output_subdir", "hydra.mode",
    "hydra.overrides", "hydra.runtime", "hydra.searchpath", "hydra.job.name", "hydra.job.config_name",
    "hydra.job.override_dirname", "hydra.job.id", "hydra.job.num",
)  # fmt: skip
TARGET: Final = "_target_"
LOGGING: Final = ("hydra/job_logging=disabled", "hydra/hydra_logging=disabled")


def refuse_code(config: DictConfig) -> None:
    """Raise if files made Hydra's node, or any key ``_target_``, another one than it is without them.

    Hydra calls what ``_target_`` names, and what its settings of logging, callbacks and environment name.

    Parameters
    ----------
    config : DictConfig
        Composed, with Hydra's node; to be called where Hydra's ``compose`` may be.

    Raises
    ------
    SettingsError
        With one message for each key.
    """
    found = dict(_leaves(OmegaConf.to_container(config, resolve=False)))
    known = dict(_leaves(OmegaConf.to_container(_untouched(), resolve=False)))
    known |= _leaves(_settings_of(config.hydra.runtime.choices["hydra/launcher"]), "hydra.launcher")
    refused = [key for key, value in found.items() if not _is_free(key) and value != known.get(key, _ABSENT)]
    if refused:
        raise SettingsError(
            *(
                f"{key}: {found[key]!r} in a file; configuration may not name code, and of Hydra's settings it may "
                "change the launcher and folders only. Take it out of conf/ or of the folder of --config-dir"
                for key in refused
            )
        )


_ABSENT: Final = object()


def _is_free(key: str) -> bool:
    if TARGET in key.split("."):
        return False
    if key.startswith("hydra.launcher."):
        return is_of_hydra(key)
    return not key.startswith("hydra.") or any(key == free or key.startswith(f"{free}.") for free in FREE)


def _untouched() -> DictConfig:
    """Return Hydra's node as its packages bring it."""
    return compose(overrides=[*LOGGING, "hydra/launcher=basic"], return_hydra_config=True)


def _settings_of(launcher: str) -> object:
    """Return what the package of a launcher says, whatever a file does."""
    if launcher not in LAUNCHERS:
        return {}
    return OmegaConf.to_container(ConfigStore.instance().load(f"hydra/launcher/{launcher}.yaml").node, resolve=False)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is no container, and every empty container, under its full key."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}.{number}")
    else:
        yield path, value

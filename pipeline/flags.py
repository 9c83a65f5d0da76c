"""What may stand on a command line beside ``key=value``: Hydra's flags, parsed by ourselves for exit code 2."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from mlpsweep.errors import SettingsError

INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"command line: {message}. Change values with key=value; --help lists all keys")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return the flags of a command line, and under ``overrides`` its words ``key=value``.

    Raises
    ------
    SettingsError
        If a flag is unknown, or lacks its value.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--config-dir", "-cd")
    # One command line does one of these; what train and search do unless told otherwise is --run.
    modes = parser.add_mutually_exclusive_group()
    for flags in (
        ("--multirun", "-m"),
        ("--run", "-r"),
        ("--shell-completion", "-sc"),
        ("--hydra-help",),
    ):
        modes.add_argument(*flags, action="store_true")
    # One door lists what there is; Hydra answers the others itself.
    modes.add_argument("--list", action="store_true")
    modes.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    modes.add_argument("--info", "-i", const="all", nargs="?", choices=INFO)
    parser.add_argument("--package", "-p")
    parser.add_argument("--resolve", action="store_true")
    # Hydra knows these; a door refuses them with a sentence.
    for flags in (("--config-path", "-cp"), ("--config-name", "-cn"), ("--experimental-rerun",)):
        parser.add_argument(*flags)
    args = parser.parse_intermixed_args(words)
    if args.config_path is not None or args.config_name is not None or args.experimental_rerun is not None:
        raise SettingsError(
            "command line: a door has one configuration. Change values with key=value, or add files with --config-dir"
        )
    if (args.package is not None or args.resolve) and not args.cfg:
        parser.error("--package and --resolve say what --cfg shows")
    return args


def passed_on(args: argparse.Namespace) -> list[str]:
    """Return the flags that Hydra shall see, beside ``-m``."""
    named = {"--config-dir": args.config_dir, "--cfg": args.cfg, "--info": args.info, "--package": args.package}
    return [f"{name}={value}" for name, value in named.items() if value] + ["--resolve"] * args.resolve

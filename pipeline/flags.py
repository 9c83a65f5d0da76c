"""What may stand on a command line beside ``key=value``: Hydra's flags, parsed by ourselves for exit code 2."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from mlpsweep.errors import SettingsError


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
    parser = _Parser(add_help=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--config-dir", "-cd")
    for flags in (("--multirun", "-m"), ("--run", "-r"), ("--resolve",)):
        parser.add_argument(*flags, action="store_true")
    # Hydra answers these itself.
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    parser.add_argument("--info", "-i", const="all", nargs="?")
    parser.add_argument("--package", "-p")
    for flags in (("--shell-completion", "-sc"), ("--hydra-help",), ("--version",)):
        parser.add_argument(*flags, action="store_true")
    # Hydra knows these; a door refuses them with a sentence.
    for flags in (("--config-path", "-cp"), ("--config-name", "-cn"), ("--experimental-rerun",)):
        parser.add_argument(*flags)
    return parser.parse_intermixed_args(words)

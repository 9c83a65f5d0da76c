"""The doors, one module per command, each a thin path from settings to the library to outputs; and what they share."""

import logging
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - said here, before an import fails
    sys.stderr.write(
        "error: environment: Python %d.%d; expected 3.11 or newer. " % sys.version_info[:2]  # noqa: UP031
        + "Run `make setup`, then `source .venv/bin/activate`\n"
    )
    sys.exit(2)

_SOURCES = Path(__file__).resolve().parents[1] / "src"
# A copy of the checkout, such as DVC makes for an experiment, runs its own library instead of the installed one.
if _SOURCES.is_dir():
    sys.path.insert(0, str(_SOURCES))

# It would say in six lines that a home which cannot be written keeps no cache, and works without.
logging.getLogger("matplotlib").setLevel(logging.ERROR)

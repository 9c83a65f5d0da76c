"""The doors, one module per command, each a thin path from settings to the library to outputs; and what they share."""

import sys
from pathlib import Path

_SOURCES = Path(__file__).resolve().parents[1] / "src"
# A copy of the checkout, such as DVC makes for an experiment, runs its own library instead of the installed one.
if _SOURCES.is_dir():
    sys.path.insert(0, str(_SOURCES))

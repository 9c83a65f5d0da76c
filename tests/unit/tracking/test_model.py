"""The code that travels with a tracked model."""

import subprocess
import sys
from pathlib import Path

from mlpsweep.tracking.model import copy_code

WORDS = """
import sys
sys.path.insert(0, sys.argv[1])
import mlpsweep.training.model
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("mlpsweep")), sep="\\n")
"""


def test_a_model_brings_all_the_code_that_it_imports(tmp_path: Path) -> None:
    code = copy_code(tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", "-c", WORDS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    used = {Path(line) for line in done.stdout.splitlines()}
    assert used <= set(code.rglob("*.py"))
    assert len(used) > 10

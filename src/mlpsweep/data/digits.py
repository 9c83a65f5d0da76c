"""scikit-learn's embedded digits as IDX files, so that every later step treats them like a downloaded set."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np

from mlpsweep.data.idx import encode_idx
from mlpsweep.data.source import DIGITS_FILES
from mlpsweep.data.split import stratified_order
from mlpsweep.errors import ChecksumError
from mlpsweep.files import write_atomic

N_TEST: Final = 360  # a fifth of 1,797


def write_digits(folder: Path) -> None:
    """Write the four files of the digits into ``folder``; valid files are kept.

    The set has no test file of its own: a fifth of the rows, balanced over the classes, becomes the test file.

    Raises
    ------
    ChecksumError
        If the digits of this scikit-learn have other checksums.
    """
    missing = {role: file for role, file in DIGITS_FILES.items() if not file.is_valid(folder)}
    contents = _encode() if missing else {}
    for role, file in missing.items():
        actual = hashlib.sha256(contents[role]).hexdigest()
        if actual != file.sha256:
            raise ChecksumError(
                f"{file.name}: this scikit-learn embeds other digits, with SHA-256 {actual}; expected {file.sha256}. "
                "Install the versions of constraints.txt."
            )
        write_atomic(folder / file.name, contents[role])


def _encode() -> dict[str, bytes]:
    from sklearn.datasets import load_digits  # the import takes seconds, so it is made only here

    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
    order = stratified_order(labels)
    rows = {"test": np.sort(order[:N_TEST]), "train": np.sort(order[N_TEST:])}
    return {
        f"{split}_{kind}": encode_idx(array[rows[split]])
        for split in rows
        for kind, array in (("images", images), ("labels", labels))
    }

"""Fixtures every test may use: a seeded generator, and the embedded digits as prepared data."""

import signal
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import settings

from mlpsweep.data.dataset import Dataset, load_dataset
from mlpsweep.data.download import download
from mlpsweep.data.preprocess import prepare
from mlpsweep.settings import DataSettings

# What they check for tests is told as fully as what a test checks itself.
pytest.register_assert_rewrite("tests.pipeline.clinic", "tests.pipeline.doors")
CONF = Path(__file__).parents[1] / "conf"
# A loaded machine is no fault, so no deadline; and other examples each time, in CI too: they find what fixed ones miss,
# and a failure prints how to repeat it.
settings.register_profile("mlpsweep", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("mlpsweep")

# A shell starts what it puts into the background with SIGINT ignored, and every process of a test would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def digits_settings() -> DataSettings:
    """conf/data/digits.yaml as it is."""
    return DataSettings.build(yaml.safe_load((CONF / "data/digits.yaml").read_text()))


@pytest.fixture(scope="session")
def prepared_digits(tmp_path_factory: pytest.TempPathFactory, digits_settings: DataSettings) -> Path:
    """A prepared folder of the 1,797 digits. Shared by all tests of a session: copy it before changing it."""
    root = tmp_path_factory.mktemp("digits")
    download(digits_settings, root / "raw")
    prepare(digits_settings, root / "raw", root / "prepared")
    return root / "prepared"


@pytest.fixture(scope="session")
def tiny_dataset(prepared_digits: Path, digits_settings: DataSettings) -> Dataset:
    """The digits, opened: 1,137 rows to train on, 300 to validate, 360 to test; 64 features, standardised."""
    return load_dataset(prepared_digits, digits_settings, with_test=True)

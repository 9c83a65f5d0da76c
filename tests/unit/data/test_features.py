"""A row as the file has it becomes the features that a training saw, whoever asks; what it never saw is refused."""

from typing import Any

import numpy as np
import pytest

from mlpsweep.data.features import features_of, kinds_of, table_of
from mlpsweep.data.ready import DataFolders
from mlpsweep.errors import DataFormatError
from tests import own_sets

ROWS: dict[str, Any] = {"length": [1.5, 2.0], "colour": ["grey", " white"], "weight": [100, 900]}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The columns of the birds as their manifest has them, and the rows of their training file as prepared."""
    folder = tmp_path_factory.mktemp("birds")
    dataset = DataFolders.below(folder).open(own_sets.write_csv(folder), with_test=True)[1]
    assert dataset.test is not None
    return dataset.manifest.columns, dataset.train.images


def test_the_columns_are_those_of_the_file(prepared: tuple[Any, Any]) -> None:
    assert kinds_of(prepared[0]) == {"length": None, "colour": ["grey", "white"], "weight": None}


def test_rows_of_the_file_become_the_features_that_were_prepared(prepared: tuple[Any, Any]) -> None:
    columns, features = prepared
    table = table_of(columns, features)
    known = {(row[0], row[1], row[2]) for row in own_sets.table_rows()}
    assert set(zip(*table.values(), strict=True)) <= known
    np.testing.assert_allclose(features_of(columns, table), features, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("length", float("nan"), "row 1, column 'length': nan; expected a finite number"),
        ("weight", float("inf"), "row 1, column 'weight': inf; expected a finite number"),
        ("colour", "green", "row 1, column 'colour': green; expected grey, white"),
        ("colour", "", "row 1, column 'colour': ; expected grey, white"),
    ],
)
def test_a_value_that_no_training_row_could_have_is_refused(
    name: str, value: Any, told: str, prepared: tuple[Any, Any]
) -> None:
    rows = ROWS | {name: [ROWS[name][0], value]}
    with pytest.raises(DataFormatError, match=told):
        features_of(prepared[0], rows)


def test_an_image_has_no_columns() -> None:
    assert kinds_of(()) == {}


def test_a_row_is_the_same_alone_and_among_others(prepared: tuple[Any, Any]) -> None:
    columns = prepared[0]
    both = features_of(columns, ROWS)
    alone = [features_of(columns, {name: values[i : i + 1] for name, values in ROWS.items()}) for i in range(2)]
    np.testing.assert_array_equal(both, np.vstack(alone))

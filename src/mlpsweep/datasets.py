"""The settings of a data set: what its one file in ``conf/data/`` declares, and where such files lie."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from mlpsweep import rules
from mlpsweep.errors import SettingsError
from mlpsweep.passwords import kept
from mlpsweep.rules import Rule, key
from mlpsweep.schema import Settings, nearest

MAX_EPOCHS: Final = 10**6
MAX_ROWS: Final = 10**7
MAX_SIDE: Final = 10_000
"""Largest height or width of an image, pixels."""
FORMATS: Final = ("idx", "npz", "csv", "images", "sklearn")
SCALINGS: Final = ("standardize", "unit", "none")
DECIDES: Final = ("label", "image_shape", "label_offset", "transpose", "categories", "ignore")
"""What decides how files are read, beside their bytes; a manifest keeps those that were set."""
# An installed package has its copy of conf/data beside this file, a checkout has it at the root.
_OWN_CONF: Final = (Path(__file__).parent / "conf", Path(__file__).parents[2] / "conf")
# A setting is saved and shown, so it holds no password; the request gets it from the environment.
_MIRROR: Final = Rule(rules.HTTPS.expected, lambda value: kept(rules.HTTPS.parse(value)))
_TEXTS: Final = rules.list_of(rules.TEXT, may_be_empty=True)
_FILES: Final = rules.mapping_of(rules.mapping_of(rules.ANYTHING))
_COLUMN: Final = Rule(
    "the name of a column, or its number from 0 in a file without a header",
    lambda value: (rules.integer(0) if isinstance(value, int) else rules.TEXT).parse(value),
)


def _pair(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    height, width = rules.list_of(rules.integer(1, MAX_SIDE), may_be_empty=False).parse(
        value
    )  # of another length: ValueError
    return height, width


def _told(rule: Rule, meaning: str, example: str, default: Any = None) -> Any:
    """Declare what a data set's file says once, and nobody types: it shows in the arrays' digests, or changes none."""
    return key(rule, meaning, example, default=default, identity=False, typed=False)


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings):
    """The data set, its files and its rows; a file of ``conf/data/`` gives the values."""

    name: str = key(rules.NAME, "data set", "mnist")
    title: str | None = _told(rules.optional(rules.TEXT), "name for readers; null: the name", "MNIST")
    source: str | None = _told(rules.optional(rules.TEXT), "where the set comes from", "Fisher (1936)")
    licence: str | None = _told(rules.optional(rules.TEXT), "what one may do with it", "CC BY 4.0")
    format: str | None = _told(rules.optional(rules.one_of(FORMATS)), "format of the files; null: idx", "csv")
    mirrors: tuple[str, ...] = key(
        rules.list_of(_MIRROR, may_be_empty=True), "https addresses, tried in order", "[]", default=(), identity=False
    )
    files: dict[str, dict[str, Any]] = _told(
        Rule(_FILES.expected, lambda value: _FILES.parse({} if value is None else value)),
        "by role: name, SHA-256 (null: recorded at the first download), bytes unpacked",
        "{train: {name: train.csv}}",
    )
    path: str | None = key(
        rules.optional(rules.TEXT),
        "file, folder or zip archive on this machine, instead of mirrors",
        "/data/irises.csv",
        default=None,
        identity=False,
    )
    label: str | int = _told(_COLUMN, "column of a table that holds the classes", "species", "label")
    categories: tuple[str, ...] = _told(_TEXTS, "columns of a table whose numbers are names", "[postcode]", ())
    ignore: tuple[str, ...] = _told(_TEXTS, "columns of a table that are left out", "[id]", ())
    image_shape: tuple[int, int] | None = _told(
        Rule(f"height and width, each an integer, 1 .. {MAX_SIDE}, or null", _pair),
        "height and width where the rows of a table are pixels",
        "[28, 28]",
    )
    transpose: bool = _told(rules.BOOLEAN, "the files hold the images column by column", "true", default=False)
    label_offset: int | None = _told(
        rules.optional(rules.integer(-(10**9), 10**9)), "label of the first class; null: the lowest that occurs", "1"
    )
    class_names: tuple[str, ...] = _told(_TEXTS, "names of the classes, in order; empty: the labels", "[cat, dog]", ())
    fallback: str | None = key(
        rules.optional(rules.one_of(("digits",))),
        "stand-in if no mirror can be reached",
        "null",
        default=None,
        identity=False,
    )
    scaling: str = key(
        rules.one_of(SCALINGS), "scaling of pixels, before the network", "standardize", default="standardize"
    )
    n_epochs: int = key(rules.integer(0, MAX_EPOCHS), "the set's own training budget, epochs", "15", identity=False)
    n_train: int | None = key(
        rules.optional(rules.integer(1, MAX_ROWS)), "training rows; null: all that remain", "null", default=None
    )
    n_validation: int = key(rules.integer(0, MAX_ROWS), "validation rows, taken from the training file", "10000")
    n_test: int | None = key(rules.optional(rules.integer(1, MAX_ROWS)), "test rows; null: all", "null", default=None)

    def conflicts(self) -> Iterable[str]:
        """Yield a message for each conflict between fields."""
        if self.format == "images" and self.path is None:
            yield "path: not set; expected the folder of the images. Example: data.path=/data/pictures"
        if self.format == "sklearn" and self.path is not None:
            yield f"path: {self.path} with format sklearn, whose sets lie in no file. Set data.path=null"
        if len(set(self.class_names)) < len(self.class_names):
            yield f"class_names: {list(self.class_names)} has a name twice; expected a name of its own for each class"

    @property
    def shown_title(self) -> str:
        """The name for readers."""
        return self.title or self.name

    @property
    def declared(self) -> dict[str, Any]:
        """What was set of :data:`DECIDES`, as JSON values; other values give other arrays from the same files."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        values = {name: getattr(self, name) for name in DECIDES if getattr(self, name) != defaults[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def known(cls, folders: Iterable[Path] = ()) -> dict[str, Path]:
        """Return the files that declare data sets, by name; the folders are those of :meth:`named`."""
        places = (*folders, *(folder / "conf" for folder in (Path.cwd(), *Path.cwd().parents)), *_OWN_CONF)
        files = [file for place in places for file in sorted((place / "data").glob("*.yaml"))]
        return {file.stem: file for file in reversed(files)}

    @classmethod
    def named(cls, name: str, folders: Iterable[Path] = ()) -> Self:
        """Return the settings of a file ``data/<name>.yaml``.

        Parameters
        ----------
        name : str
            Name of the file, such as ``digits``.
        folders : iterable of Path
            Configuration folders to search first, such as that of ``--config-dir``; then come ``conf/`` of the current
            folder and of the folders above it, and the data sets of this package.

        Raises
        ------
        SettingsError
            If no file has this name, or one of its values does not fit.
        """
        from mlpsweep.config import read_yaml  # imported here, because the help page needs no omegaconf
        from mlpsweep.files import read_text

        files = cls.known(folders)
        if name not in files:
            known = list(files)[::-1]
            raise SettingsError(
                f"data: {name!r} is not known; expected one of {', '.join(known)}{nearest(name, known)}"
            )
        return cls.build(read_yaml(read_text(files[name], "Name another data set."), str(files[name])), "data.")

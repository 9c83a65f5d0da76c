"""Folders that a command line names: whether one can be there at all, and how a new one is made."""

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

# File systems of the kernel: they take no files of ours, whatever their permissions say.
VIRTUAL = (Path("/proc"), Path("/sys"), Path("/dev"))
MEMORY = Path("/dev/shm")  # noqa: S108 - the one of them that keeps files
# File systems allow names of 255 bytes and paths of 4,096; what lies in and beside a folder has longer ones.
MAX_NAME, MAX_PATH = 200, 3500


def unusable(name: str, value: object) -> Iterator[str]:
    """Yield why ``value``, given for the setting ``name``, is the path of no folder that could be written.

    Missing permissions are no reason: the file system tells them when something is written, with exit code 4.
    """
    if reason := _obstacle(value):
        text = str(value)
        shown = text if text and text.isprintable() and len(text) <= MAX_NAME else repr(text[:60])
        yield f"{name}: {shown} {reason}; expected a folder, or a name that is free. Example: {name}=outputs/mine"


def _obstacle(value: object) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return "names no folder"
    if "${" in value:
        return "holds a reference that is not resolved"
    if "\0" in value:
        return "holds a character that no file system takes"
    try:
        parts, real = [os.fsencode(part) for part in Path(value).parts], Path(os.path.realpath(value))
    except ValueError:
        return "holds a character that no file system takes"
    if max(map(len, parts), default=0) > MAX_NAME or len(os.fsencode(real)) > MAX_PATH:
        return f"is too long: names have at most {MAX_NAME} bytes here, paths {MAX_PATH}"
    if real == Path("/"):
        return "is the root of all files"
    if any(real.is_relative_to(place) for place in VIRTUAL) and not real.is_relative_to(MEMORY):
        return "lies in a file system of the kernel"
    return _in_the_way(Path(value).absolute())


def _in_the_way(path: Path) -> str | None:
    """Return what stands where the folder, or one above it, should be."""
    for place in (path, *path.parents):
        try:
            is_folder = stat.S_ISDIR(place.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            if place.is_symlink():
                return f"needs {place}, a link that leads nowhere"
            continue
        except PermissionError:
            return None
        except OSError as error:
            return f"cannot be reached ({error.strerror})"
        if not is_folder:
            return "is a file" if place == path else f"lies below {place}, which is a file"
        return None
    return None


@contextlib.contextmanager
def new_folder(wanted: Path) -> Iterator[Path]:
    """Make ``wanted``, or the first of ``wanted-1``, ``wanted-2`` ... that does not exist; remove it if it stays empty.

    Two commands that start within the same second get two folders. The current folder and those above it are there
    already: who names one of them means it.
    """
    if Path.cwd().is_relative_to(wanted.resolve()):
        yield wanted.resolve()
        return
    for number in itertools.count():
        folder = wanted.with_name(f"{wanted.name}-{number}") if number else wanted
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        break
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            os.removedirs(folder)

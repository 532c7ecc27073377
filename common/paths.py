"""Places that people name: expanded as a shell would, and tried before hours are spent."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from pathlib import Path

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)


def expanded(text: str) -> str:
    """``text`` with ``~``, ``~user``, ``$NAME`` and ``${NAME}`` put in.

    What exists under the very name that was written is meant as written. Raises ValueError for
    blank text, a user that is not known and a variable that is not set.
    """
    if not text.strip():
        raise ValueError("an empty path: name a place")
    if os.path.lexists(text):
        return text
    found = _VARIABLE.sub(lambda match: _variable(match, text), os.path.expanduser(text))
    if found.startswith("~"):
        raise ValueError(f"{text!r:.80} names the home of a user that is not known here")
    return found


def nearby(text: str) -> Path | None:
    """The place that may have been meant by one that is not there."""
    path = Path(os.path.expanduser(text))
    try:
        names = os.listdir(path.parent)
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, 1)
    return path.parent / near[0] if near else None


def _variable(match: re.Match[str], text: str) -> str:
    name = match[1] or match[2]
    if name not in os.environ:
        raise ValueError(f"{text!r:.80}: the variable {name:.80} is not set")
    return os.environ[name]


def expanded_url(text: str) -> str:
    """A storage URL whose path, where it is of an SQLite file, is ``expanded``.

    Other URLs stay as they are: in a password a ``$`` is a ``$``. Raises ValueError as that does.
    """
    start, slashes, path = text.partition(":///")
    if slashes and path and re.fullmatch(r"sqlite(\+\w+)?", start):
        return f"{start}{slashes}{expanded(path)}"
    return text


def check_directory(path: Path) -> None:
    """Make the directory where it is missing, and see that files can be written in it.

    Raises ValueError with the reason where not: the time to say so is before the work.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"\0")  # a full disk makes files, and then takes nothing
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"cannot write in {str(path)!r:.200} ({reason}): name another") from error


def check_place(path: Path) -> None:
    """See that a directory can be made at ``path``, or written in where it exists; makes none.

    Raises ValueError where not.
    """
    nearest = path.absolute()
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    check_directory(nearest)


def check_file(path: Path) -> None:
    """See that a file can be written at ``path``, making its directory where that is missing.

    Raises ValueError where not.
    """
    if path.is_dir():
        raise ValueError(f"{str(path)!r:.200} is a directory: name a file")
    check_directory(path.parent)

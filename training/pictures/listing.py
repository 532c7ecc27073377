"""What lies below a folder, each folder read once: pictures, folders, and what is passed over.

Hidden files and folders, and those that systems and network drives leave behind, are no pictures of
anybody's: they are passed over, and counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from training.pictures import images
from training.pictures.names import natural_key

# Compared without regard to case. Anything else that begins with a dot is passed over too.
_SYSTEM = frozenset(
    ("@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot",  # network drives
     "$recycle.bin", "system volume information", "found.000", "thumbs.db", "ehthumbs.db",
     "desktop.ini",  # Windows
     "__macosx", ".ds_store", "icon\r",  # macOS
     "lost+found", ".thumbnails", "__pycache__", ".ipynb_checkpoints", ".git")
)  # fmt: skip


class File(NamedTuple):
    """A file that should be a picture; length and time of change are -1 where it has gone."""

    path: str  # relative to the listing's root
    length: int  # bytes
    changed: int  # nanoseconds


class Listed(NamedTuple):
    """The names of a folder's folders, in order, and the pictures that lie in it directly."""

    folders: list[str]
    pictures: list[File]


class Listing:
    """The folders below `root`, read when they are asked for, each of them once.

    passed_over: how many hidden and system files and folders there were, by kind: ``.*`` is any
        hidden one, ``._*`` one half of a file that macOS has split, all others are names.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.passed_over: Counter[str] = Counter()
        self._listed: dict[str, Listed] = {}

    def folders(self, path: str) -> list[str]:
        """The names of the folders in `path`, in order."""
        return self._of(path).folders

    def pictures(self, path: str) -> list[File]:
        """The pictures directly in `path`."""
        return self._of(path).pictures

    def below(self, path: str, outside: tuple[str, ...] = ()) -> Iterator[File]:
        """Every picture at any depth below `path`, links followed.

        Each real folder counts once, and none of `outside`, the folders that lie above: a link that
        leads back neither hangs the walk nor brings the pictures of other classes into this one.
        """
        seen = {_identity(self.root), *map(_identity, outside)}
        waiting = [path]
        while waiting:
            current = waiting.pop()
            if (identity := _identity(current)) in seen:
                continue
            seen.add(identity)
            yield from self.pictures(current)
            waiting += [os.path.join(current, name) for name in self.folders(current)]

    def has_pictures(self, path: str) -> bool:
        """Whether there is a picture at any depth below `path`."""
        return next(self.below(path), None) is not None

    def _of(self, path: str) -> Listed:
        if path not in self._listed:
            self._listed[path] = self._read(path)
        return self._listed[path]

    def _read(self, path: str) -> Listed:
        found = Listed([], [])
        with os.scandir(path) as entries:
            for entry in entries:
                if kind := _passed_over(entry.name):
                    self.passed_over[kind] += 1
                elif _is_folder(entry):
                    found.folders.append(entry.name)
                elif _is_picture(entry):
                    found.pictures.append(_file(entry, self.root))
        found.folders.sort()
        return found


def picture_files(given: str) -> list[str]:
    """The file ``given``, or every picture below the folder, in the order of their names.

    Raises ValueError for a folder without any.
    """
    if not os.path.isdir(given):
        return [given]
    listing = Listing(given)
    found = list(listing.pictures(given))
    for name in listing.folders(given):
        found += listing.below(os.path.join(given, name))
    if not found:
        raise ValueError(f"no pictures in the folder {given!r:.200}")
    return [
        os.path.join(given, name) for name in sorted({file.path for file in found}, key=natural_key)
    ]


def _passed_over(name: str) -> str | None:
    if name.startswith("._"):
        return "._*"
    if name.casefold() in _SYSTEM:
        return name
    return ".*" if name.startswith(".") else None


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _is_picture(entry: os.DirEntry[str]) -> bool:
    """By the name where that promises a picture, else by what the file begins with."""
    promised = os.path.splitext(entry.name)[1].lower() in images.EXTENSIONS
    try:
        if entry.is_file():
            # Nothing to see in an empty file, and one below /proc could keep its reader waiting.
            return promised or (entry.stat().st_size > 0 and images.header(entry.path) is not None)
    except OSError:
        pass
    return promised and entry.is_symlink()  # a broken link: to be reported as unreadable


def _file(entry: os.DirEntry[str], root: str) -> File:
    path = entry.path.removeprefix(root).lstrip(os.sep)
    try:
        status = entry.stat()
    except OSError:
        return File(path, -1, -1)
    return File(path, status.st_size, status.st_mtime_ns)

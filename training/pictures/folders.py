"""Folders of pictures: one folder per class, divided into train, val and test where they exist."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median_low
from typing import NamedTuple

import numpy as np

from training.pictures import cache as store
from training.pictures import images
from training.pictures.images import Pictures
from training.pictures.sources import Source
from training.pictures.splits import Indices, Subset

_READER = 1  # part of every cache key: to be raised with any change of what is decoded
_LARGEST = 256  # pixels a side, unless a size is asked for
_SAMPLE = 1_000  # headers opened to find the usual size

_PARTS = {
    "train": Subset.TRAIN,
    "val": Subset.VALIDATION,
    "validation": Subset.VALIDATION,
    "valid": Subset.VALIDATION,
    "test": Subset.TEST,
}


class File(NamedTuple):
    """A file that should be a picture; length and time of change are -1 where it has gone."""

    path: str  # relative to the data folder
    length: int  # bytes
    changed: int  # nanoseconds


def folder(path: Path, size: int | None, cache: Path, progress: bool) -> Source:
    """The pictures below `path` as a Source of 3 channels, grey pictures included.

    size: pixels a side; None takes the median shorter side, 256 at most.
    Raises ValueError where `path` is no folder of at least two class folders with pictures.
    """
    try:
        root = _existing(path)
        classes, files, labels, parts = _list(root)
    except OSError as error:
        raise ValueError(f"cannot list folder {error.filename!r}: {error.strerror}") from error
    return Source(
        name=os.path.basename(root) or root,
        classes=classes,
        labels=np.array(labels, np.int64),
        parts=np.array(parts, np.int64),
        size=_usual_size(root, files) if size is None else size,
        channels=3,
        flip=True,
        read=partial(_read, root, files, cache, progress),
    )


def _existing(path: Path) -> str:
    if not path.exists():
        raise ValueError(
            f"no folder {str(path)!r}: give a folder that holds one folder of pictures per class,"
            ' or one of "mnist", "digits", "cifar10", "cifar100"'
        )
    if not path.is_dir():
        raise ValueError(f"{str(path)!r} is a file: give the folder that holds the class folders")
    return os.path.realpath(path)


def _list(root: str) -> tuple[tuple[str, ...], list[File], list[int], list[Subset]]:
    """Class names, and file, label and part of every picture, in the order of their paths."""
    layout = _layout(root)
    classes = _classes(layout[Subset.TRAIN])
    files: list[File] = []
    labels: list[int] = []
    parts: list[Subset] = []
    for part, where in layout.items():
        _check_classes(classes, where)
        for label, name in enumerate(classes):
            members = sorted(_pictures(root, where, name))
            files += members
            labels += [label] * len(members)
        if len(labels) == len(parts):
            raise ValueError(f"no pictures in the class folders of {where!r}")
        parts += [part] * (len(labels) - len(parts))
    return classes, files, labels, parts


def _layout(root: str) -> dict[Subset, str]:
    """The folder of each part, that of training always among them."""
    named = [(name, _PARTS[name.lower()]) for name in _folders(root) if name.lower() in _PARTS]
    # A class may well be called "train": it is the training part only where it holds folders.
    if not any(part == Subset.TRAIN and _folders(os.path.join(root, name)) for name, part in named):
        if named and len(named) == len(_folders(root)):
            names = ", ".join(repr(name) for name, _ in named)
            raise ValueError(f"{root!r} holds {names}, but no 'train' with one folder per class")
        return {Subset.TRAIN: root}
    layout: dict[Subset, str] = {}
    for name, part in named:
        if part in layout:
            raise ValueError(
                f"{layout[part]!r} and {name!r} are the same part: rename or remove one of them"
            )
        layout[part] = os.path.join(root, name)
    return layout


def _classes(where: str) -> tuple[str, ...]:
    found = _folders(where)
    if len(found) < 2:
        only = f"only one class folder, {found[0]!r}," if found else "no class folders"
        raise ValueError(f"{only} in {where!r}: there must be one per class, and at least two")
    return tuple(found)


def _check_classes(classes: tuple[str, ...], where: str) -> None:
    if odd := sorted(set(classes).symmetric_difference(_folders(where))):
        names = ", ".join(repr(name) for name in odd[:3]) + (" ..." if len(odd) > 3 else "")
        raise ValueError(
            f"the class folders of {where!r} differ from those of the training part in {names}:"
            " every part needs the same ones"
        )


def _folders(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and _is_folder(e))


def _pictures(root: str, where: str, name: str) -> Iterator[File]:
    """Every picture file at any depth below a class folder, hidden ones left out."""
    # Each real folder once, and none that lies above: a link that leads back neither hangs the
    # walk nor brings the pictures of other classes into this one.
    seen = {_identity(root), _identity(where)}
    waiting = [os.path.join(where, name)]
    while waiting:
        current = waiting.pop()
        if (identity := _identity(current)) in seen:
            continue
        seen.add(identity)
        with os.scandir(current) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    waiting.append(entry.path)
                elif _is_picture(entry):
                    yield _file(entry, root)


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
            return promised or (entry.stat().st_size > 0 and images.shorter_side(entry.path) > 0)
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


def _usual_size(root: str, files: list[File]) -> int:
    """The median shorter side of pictures taken evenly from the list, 256 at most."""
    every = max(1, len(files) // _SAMPLE)
    sides = [images.shorter_side(os.path.join(root, file.path)) for file in files[::every]]
    return min(_LARGEST, median_low([side for side in sides if side] or [_LARGEST]))


def _read(
    root: str, files: list[File], cache: Path, progress: bool, chosen: Indices, size: int
) -> Pictures:
    members = [files[index] for index in chosen]
    path = cache / f"{_key(root, members, size)}.safetensors"
    found = store.load(path)
    if found is not None and _still_unreadable(root, found, size):
        return found
    pictures = images.read(root, [file.path for file in members], size, progress)
    store.save(path, pictures)
    # Read back, because the system can drop a file's pages while the splits are copied from them.
    return store.load(path) or pictures


def _still_unreadable(root: str, pictures: Pictures, size: int) -> bool:
    """A picture skipped for want of permission becomes readable without a change of its key."""
    paths = [path for path, _ in pictures.skipped]
    return images.read(root, paths, size, progress=False).skipped == pictures.skipped


def _key(root: str, files: list[File], size: int) -> str:
    """What the decoded pictures depend on, the folder's own place included."""
    digest = hashlib.sha256(f"reader {_READER} size {size} ".encode() + os.fsencode(root))
    for file in files:
        digest.update(f"\0{file.length} {file.changed} ".encode() + os.fsencode(file.path))
    return digest.hexdigest()[:32]

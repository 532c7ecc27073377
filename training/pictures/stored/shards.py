"""Shards as a source of pictures: where they are, which part each is of, what their classes are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from training.pictures import copies
from training.pictures.layout import Parts
from training.pictures.listing import File, Listing
from training.pictures.names import class_name, natural_key, said_part
from training.pictures.sources import Source
from training.pictures.splits import Indices, Subset
from training.pictures.stored.folders import Stored
from training.pictures.stored.index import samples
from training.pictures.stored.members import path_of
from training.pictures.stored.parquet import unpacked

CLASSES = ("classes.txt", "classnames.txt")
_KINDS = (".tar", ".parquet")
_DATA = "data"  # where Hugging Face puts them
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST = 100_000  # shards of one pattern


def are_shards(place: str) -> bool:
    """Whether a path is of shards: of one, of many by ``{000..099}``, or of a folder in which they
    are and no pictures beside them."""
    if place.endswith(_KINDS):
        return True
    if not os.path.isdir(place):
        return False
    if not any(_below(place)):
        return False
    listing = Listing(os.path.realpath(place))
    folders = (os.path.join(listing.root, name) for name in listing.folders(listing.root))
    return not listing.pictures(listing.root) and not any(map(listing.has_pictures, folders))


def shards(place: str | Parts, size: int | None, cache: Path, progress: bool) -> Source:
    """The pictures in shards, as a Source of 3 channels, grey or not.

    place: as ``are_shards`` has it; or the parts of a split, one by one.
    size: pixels a side; None takes the median shorter side, 256 at most.
    Raises ValueError where there are none, where they cannot be read, and where their classes do
    not agree.
    """
    found = _given(place) if isinstance(place, Parts) else _recognised(place)
    files: list[File] = []
    labels: list[str] = []
    parts: list[Subset] = []
    for part in sorted(found):
        for shard in found[part]:
            archive = unpacked(shard, cache) if shard.endswith(".parquet") else shard
            changed = os.stat(archive).st_mtime_ns
            for one in samples(archive, cache):
                path = path_of(os.path.realpath(archive), one.offset, one.length, one.name)
                files.append(File(path, one.length, changed))
                labels.append(one.label)
            parts += [part] * (len(labels) - len(parts))
    first = _first(place)
    classes, numbers = _numbered(labels, parts, first)
    stored = Stored(os.getcwd(), files, cache, progress)  # its paths are whole ones
    return Source(
        name=os.path.basename(os.path.realpath(first)),
        classes=classes,
        labels=numbers,
        parts=np.array(parts, np.int64),
        size=stored.usual_size() if size is None else size,
        channels=3,
        flip=True,
        read=stored.read,
        stream=stored.stream,
        name_of=lambda index: files[index].path,
        twins=lambda members: copies.twins("", files, numbers, members),
    )


def _first(place: str | Parts) -> str:
    return place.train if isinstance(place, Parts) else place


def _recognised(place: str) -> dict[Subset, list[str]]:
    """The shards of each part: by the words of their names, then by their folder's below the place;
    those that say nothing are for training."""
    found: dict[Subset, list[str]] = {}
    for path in _listed(place):
        names = [os.path.basename(path)]
        if os.path.isdir(place):
            names.append(os.path.basename(os.path.relpath(os.path.dirname(path), place)))
        said = (part for name in names if (part := said_part(name)) is not None)
        found.setdefault(next(said, Subset.TRAIN), []).append(path)
    if Subset.TRAIN not in found:
        raise ValueError(
            f"{place!r:.200} holds shards of {', '.join(part.name.lower() for part in found)} and "
            "none to train on: give those too, or --train alone"
        )
    return found


def _given(parts: Parts) -> dict[Subset, list[str]]:
    named = zip(Subset, parts, strict=True)
    return {part: _listed(place) for part, place in named if place is not None}


def _listed(place: str) -> list[str]:
    """The files that a path means, in order. Raises ValueError where there is none."""
    if os.path.isdir(place):
        found = list(_below(place))
    else:
        found = list(_expanded(place))
        if missing := [path for path in found if not os.path.isfile(path)]:
            raise ValueError(f"no shard {missing[0]!r:.200}: check the path and its numbers")
    if not found:
        raise ValueError(f"no shards ({', '.join(_KINDS)}) in {place!r:.200}")
    return found


def _below(folder: str) -> Iterator[str]:
    """The shards in a folder, and in those of its folders that may hold some: class folders, which
    a network drive takes long to list, are not looked into."""
    names = sorted((name for name in os.listdir(folder) if name[:1] != "."), key=natural_key)
    for name in names:
        path = os.path.join(folder, name)
        if name.endswith(_KINDS) and os.path.isfile(path):
            yield path
        elif (name == _DATA or said_part(name) is not None) and os.path.isdir(path):
            yield from _below(path)


def _expanded(pattern: str) -> Iterator[str]:
    """``{000..011}`` put in, as shells and WebDataset do."""
    found = _BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    first, last = (int(number) for number in found.groups())
    if not first <= last < first + _MOST:
        raise ValueError(f"{pattern!r:.200}: {found[0]} must count up, to {_MOST:,} shards at most")
    for number in range(first, last + 1):
        digits = str(number).zfill(len(found[1]))
        yield from _expanded(pattern[: found.start()] + digits + pattern[found.end() :])


def _numbered(
    labels: Sequence[str], parts: Sequence[Subset], place: str
) -> tuple[tuple[str, ...], Indices]:
    """The classes in natural order, and of each picture its class's number.

    Raises ValueError for fewer than two, and where another part has others than training has.
    """
    names = _names(place)
    every = [class_name(_name(label, names, place)) for label in labels]
    pairs = zip(every, parts, strict=True)
    classes = sorted({name for name, part in pairs if part == Subset.TRAIN}, key=natural_key)
    if len(classes) < 2:
        raise ValueError(f"the shards in {place!r:.200} have pictures of {len(classes)} class(es) "
                         "to train on: there must be at least two")  # fmt: skip
    number = {name: at for at, name in enumerate(classes)}
    if others := [name for name in every if name not in number]:
        raise ValueError(
            f"class {others[0]!r:.60} is in shards of another part and not in those to train on: "
            "every part has the same classes"
        )
    return tuple(classes), np.array([number[name] for name in every], np.int64)


def _name(label: str, names: Sequence[str], place: str) -> str:
    """A class by its number, where a file beside the shards has names."""
    if not names or not label.isdecimal():
        return label
    if int(label) >= len(names):
        raise ValueError(f"class {label} in the shards of {place!r:.200} and {len(names)} names, "
                         f"from 0, in {CLASSES[0]}: add names")  # fmt: skip
    return names[int(label)]


def _names(place: str) -> list[str]:
    """A name a line, that of class 0 first; none where there is no such file."""
    folder = Path(place) if os.path.isdir(place) else Path(place).parent
    path = next((folder / name for name in CLASSES if (folder / name).is_file()), None)
    return [] if path is None else path.read_text("utf-8-sig").split("\n")

"""Folders of pictures as a source: listed, measured, decoded once and kept in the cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median_low

import numpy as np

from common.paths import nearby
from training.pictures import cache as store
from training.pictures import copies, deep, images, reading
from training.pictures import scan as scanning
from training.pictures.deep import Scales
from training.pictures.images import Header
from training.pictures.layout import Layout, Parts, given, recognised
from training.pictures.listing import File, Listing
from training.pictures.names import subset
from training.pictures.reading import Pictures
from training.pictures.scan import Files, Scan
from training.pictures.sources import Source
from training.pictures.splits import Indices, Subset

_READER = 2  # part of every cache key: to be raised with any change of what is decoded
_LARGEST = 256  # pixels a side, unless a size is asked for
_SAMPLE = 1_000  # headers opened to find the usual size, and pictures of more than 8 bits
_DEEP_SAMPLE = 64  # of these decoded, to find their scale


def folder(place: str | Parts, size: int | None, cache: Path, progress: bool) -> Source:
    """The pictures in a folder, or in the parts of a split, as a Source of 3 channels, grey or not.

    size: pixels a side; None takes the median shorter side, 256 at most.
    Raises ValueError where there are no two class folders with pictures, and where it is not plain
    which folders are the classes.
    """
    try:
        name, listing, layout = _laid_out(place)
        labels, parts, files = _members(listing, layout)
    except OSError as error:
        raise ValueError(f"cannot list folder {error.filename!r}: {error.strerror}") from error
    found = Stored(listing.root, files, cache, progress)
    return Source(
        name=name,
        classes=layout.classes,
        labels=labels,
        parts=parts,
        size=found.usual_size() if size is None else size,
        channels=3,
        flip=True,
        read=found.read,
        stream=found.stream,
        name_of=lambda index: files[index].path,
        twins=lambda members: copies.twins(listing.root, files, labels, members),
        passed_over=dict(sorted(listing.passed_over.items())),
        unlabelled=layout.unlabelled,
    )


def _laid_out(place: str | Parts) -> tuple[str, Listing, Layout]:
    """The data set's name, and what its folders are."""
    if isinstance(place, str):
        root = _existing(place)
        listing = Listing(root)
        return os.path.basename(root) or root, listing, recognised(listing)
    paths = {
        part: _existing(path) for part, path in zip(Subset, place, strict=True) if path is not None
    }
    listing = Listing(os.path.commonpath(paths.values()))
    train = paths[Subset.TRAIN]
    while subset(os.path.basename(train)) is not None:  # "train" would be every data set's name
        train = os.path.dirname(train)
    return os.path.basename(train) or train, listing, given(listing, paths)


def _existing(path: str) -> str:
    if not os.path.exists(path):
        if near := nearby(path):
            raise ValueError(f"no folder {path!r}: did you mean {str(near)!r:.200}?")
        raise ValueError(
            f"no folder {path!r}: give a folder that holds one folder of pictures per class,"
            ' or one of "mnist", "digits", "cifar10", "cifar100"'
        )
    if not os.path.isdir(path):
        raise ValueError(f"{path!r} is a file: give the folder that holds the class folders")
    return os.path.realpath(path)


def _members(listing: Listing, layout: Layout) -> tuple[Indices, Indices, list[File]]:
    """Label, part and file of every picture: by part, class and path."""
    files: list[File] = []
    labels: list[int] = []
    parts: list[Subset] = []
    for part, folders in layout.folders.items():
        where = layout.places[part]
        for label, name in enumerate(layout.classes):
            found = {file for path in folders[name] for file in listing.below(path, (where,))}
            files += sorted(found)
            labels += [label] * len(found)
        if len(labels) == len(parts):
            raise ValueError(f"no pictures in the class folders of {where!r}")
        parts += [part] * (len(labels) - len(parts))
    return np.array(labels, np.int64), np.array(parts, np.int64), files


@dataclass(frozen=True)
class Stored:
    """Picture files below one root, or members of archives, and where they are kept once they are
    decoded."""

    root: str
    files: Sequence[File]
    cache: Path
    progress: bool

    def usual_size(self) -> int:
        """The median shorter side of pictures taken evenly from the list, 256 at most."""
        return min(_LARGEST, median_low([found.side for _, found in self._headers] or [_LARGEST]))

    def read(self, chosen: Indices, size: int) -> Pictures:
        """Decode the files with the given indices, or take them from the cache."""
        members, scales = [self.files[index] for index in chosen], self._scales
        path = self.cache / f"{_key(self.root, members, size, scales)}.safetensors"
        found = store.load(path)
        if found is not None and self._still_unreadable(found, size):
            return found
        paths = [file.path for file in members]
        pictures = reading.read(self.root, paths, size, scales, self.progress)
        store.save(path, pictures, self.root)
        # Read back, because the system can drop a file's pages while the splits are copied from
        # them.
        return store.load(path) or pictures

    def stream(self, chosen: Indices, size: int) -> tuple[Scan, Files]:
        """Look at the files with the given indices, or take what was seen from the cache."""
        members, scales = [self.files[index] for index in chosen], self._scales
        paths = [file.path for file in members]
        path = self.cache / f"{_key(self.root, members, size, scales)}.scan.safetensors"
        found = scanning.load(path)
        if found is None or not self._still_unreadable(found, size):
            found = scanning.scan(self.root, paths, size, scales, self.progress)
            scanning.save(path, found, self.root)
        return found, Files(self.root, paths, size, scales)

    @cached_property
    def _headers(self) -> list[tuple[str, Header]]:
        """Paths and headers of pictures taken evenly from the list."""
        every = max(1, len(self.files) // _SAMPLE)
        paths = (os.path.join(self.root, file.path) for file in self.files[::every])
        return [(path, found) for path in paths if (found := images.header(path)) is not None]

    @cached_property
    def _scales(self) -> Scales:
        """What is black and white in pictures of more than 8 bits, by a sample of all of them."""
        found = Scales()
        for kind in deep.KINDS:
            if ranges := list(self._ranges(kind)):
                found = found._replace(**{kind: deep.scale(kind, ranges)})
        return found

    def _ranges(self, kind: deep.Kind) -> Iterator[tuple[float, float]]:
        paths = [path for path, found in self._headers if found.deep == kind]
        order = np.random.default_rng(0).permutation(len(paths))[:_DEEP_SAMPLE]
        for path in (paths[place] for place in sorted(order)):
            if (found := images.extremes(path)) is not None:
                yield found

    def _still_unreadable(self, pictures: Pictures | Scan, size: int) -> bool:
        """A picture skipped for want of permission becomes readable without a change of its key."""
        paths = [path for path, _ in pictures.skipped]
        again = reading.read(self.root, paths, size, pictures.scales, progress=False)
        return again.skipped == pictures.skipped


def _key(root: str, files: Sequence[File], size: int, scales: Scales) -> str:
    """What the decoded pictures depend on, the folder's own place included."""
    digest = hashlib.sha256(f"reader {_READER} size {size} {scales} ".encode() + os.fsencode(root))
    for file in files:
        digest.update(f"\0{file.length} {file.changed} ".encode() + os.fsencode(file.path))
    return digest.hexdigest()[:32]

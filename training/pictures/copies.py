"""Copies of one picture: kept on one side of a split, and counted.

Copies of a file are found before pictures are divided, and go to one part together. Pictures that
turn out equal only when they are decoded (saved in another format, or in folders of two classes)
are mended afterwards: the copy that would be trained on, or chosen by, is left out.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.pictures.listing import File
from training.pictures.splits import Division, Indices
from training.pictures.stored import members

_TAIL = 4096  # bytes: where compressed files of one length differ if they do at all
_BLOCK = 256  # files a task: enough to make the cost of a task vanish
_PROBE = 64  # pixels of a picture that are looked at before all of it


class Copies(NamedTuple):
    """What copies there are among the pictures that are used; equal means the pixels as stored.

    total: pictures that are equal to another one before them.
    left_out: pictures left out because an equal one is in another part.
    leaked: pictures in the source's own validation and test parts that are in another part too.
    conflicts: different pictures of which there are copies in two classes or more.
    example: two pictures of the first conflict, or none.
    """

    total: int = 0
    left_out: int = 0
    leaked: int = 0
    conflicts: int = 0
    example: tuple[str, ...] = ()


NO_COPIES = Copies()


def twins(root: str, files: Sequence[File], labels: Indices, members: Indices) -> Indices:
    """For each of `members`, the first of them that is a copy of its file in its class, or itself.

    Only files that have a class and a length in common are opened, their last bytes read first.
    """
    groups = _alike(members.tolist(), lambda one: (labels[one], files[one].length))
    groups = [group for group in groups if files[group[0]].length > 0]
    for content in (_tail, _all):
        some = [one for group in groups for one in group]
        paths = [os.path.join(root, files[one].path) for one in some]
        known = dict(zip(some, _each(content, paths), strict=True))
        groups = [same for group in groups for same in _alike(group, known.__getitem__)]
    first = {one: group[0] for group in groups for one in group}
    return np.array([first.get(one, one) for one in members.tolist()], np.int64)


def equal(pictures: npt.NDArray[np.uint8], readable: npt.NDArray[np.bool_]) -> Indices:
    """For each of the pictures (N, C, H, W), the first one that is equal to it; int64 (N,).

    Those that are not `readable`, bool (N,), are equal to none.
    """
    flat = pictures.reshape(len(pictures), math.prod(pictures.shape[1:]))
    probe = np.ascontiguousarray(flat[:, :: max(1, flat.shape[1] // _PROBE)])
    first = np.arange(len(flat))
    rows = np.flatnonzero(readable).tolist()
    for group in _alike(rows, lambda row: probe[row].tobytes()):
        for same in _alike(group, lambda row: hashlib.blake2b(flat[row]).digest()):
            first[same] = same[0]
    return first


def same(hashes: npt.NDArray[np.uint8], readable: npt.NDArray[np.bool_]) -> Indices:
    """``equal`` of pictures that are known by their hashes (N, bytes) alone."""
    first = np.arange(len(hashes))
    for group in _alike(np.flatnonzero(readable).tolist(), lambda row: hashes[row].tobytes()):
        first[group] = group[0]
    return first


def settled(
    division: Division, first: Indices, own: tuple[bool, bool]
) -> tuple[Division, int, int]:
    """The division without copies on both sides; how many are left out, and how many are leaked.

    first: of each picture the first that is equal to it, int64.
    own: whether the validation and the test part are the source's own. Copies of their pictures are
        counted, not touched. Between parts that were cut from one, the copy that is nearer to being
        trained on is left out: of training or validation for test, of training for validation.
    """
    train, validation, test = division
    own_validation, own_test = own

    def among(some: Indices, *others: Indices) -> npt.NDArray[np.bool_]:
        return np.isin(first[some], first[np.concatenate(others)])

    kept_validation = validation
    if not own_validation and not own_test:
        kept_validation = validation[~among(validation, test)]
    cut = [part for part, is_own in zip((validation, test), own, strict=True) if not is_own]
    found = Division(train[~among(train, *cut)] if cut else train, kept_validation, test)
    leaked = 0
    if own_validation:
        leaked += int(among(validation, train, *cut).sum())
    if own_test:
        leaked += int(among(test, train, validation).sum())
    return found, sum(map(len, division)) - sum(map(len, found)), leaked


def conflicts(first: Indices, labels: Indices) -> tuple[int, tuple[int, ...]]:
    """How many pictures have copies with different labels, and the places of two such copies."""
    odd = np.flatnonzero(labels != labels[first])
    if not len(odd):
        return 0, ()
    return len(np.unique(first[odd])), (int(first[odd[0]]), int(odd[0]))


def _alike(some: Iterable[int], key: Callable[[int], Hashable]) -> list[list[int]]:
    """Those that share a key with another, in groups, each in order."""
    found: dict[Hashable, list[int]] = {}
    for one in some:
        found.setdefault(key(one), []).append(one)
    return [group for group in found.values() if len(group) > 1]


def _each(content: Callable[[str], Hashable], paths: list[str]) -> Iterator[Hashable]:
    """The content of every file, in order, on a few threads, which wait for the disk."""
    blocks = [paths[start : start + _BLOCK] for start in range(0, len(paths), _BLOCK)]
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda block: [content(path) for path in block], blocks):
            yield from found


def _tail(path: str) -> Hashable:
    try:
        with members.opened(path) as file:
            file.seek(max(0, members.length(path) - _TAIL))
            return hashlib.blake2b(file.read(), digest_size=16).digest()
    except OSError:
        return object()  # like no other


def _all(path: str) -> Hashable:
    try:
        with members.opened(path) as file:
            return hashlib.blake2b(file.read()).digest()
    except OSError:
        return object()

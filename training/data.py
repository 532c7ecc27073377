"""Pictures for training, data sets as tensors in memory, or streaming from disk.

    data = load("mnist")                    # the digits that come with the toolkit
    data = load("~/pictures", size=64)      # one folder per class
    data = load(Parts("a", test="b"))       # the parts of a split, each with one folder per class

A search measures accuracy on `validation` only. `test` is for one final training: whatever has been
chosen by a split can no longer be judged by it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from common.host_memory import total_host_bytes
from common.paths import expanded
from training.pictures import copies
from training.pictures.cache import cache_folder, fingerprint
from training.pictures.copies import Copies
from training.pictures.dataset import Data, Split, check_covers, first, part
from training.pictures.findings import Findings
from training.pictures.images import DOUBTS
from training.pictures.layout import Parts
from training.pictures.reading import Pictures
from training.pictures.scan import Files, Scan, Seen, seen
from training.pictures.sources import Source, cifar, digits, mnist
from training.pictures.splits import Division, Indices, Subset, divide
from training.pictures.stored.folders import folder
from training.pictures.stored.shards import are_shards, shards

__all__ = ["Data", "Parts", "Split", "check_covers", "chosen_source", "first", "load",
           "native_size", "part"]  # fmt: skip

_MAX_SIZE = 1024
_MAX_SKIPPED = 0.05
SHARE = 0.25
"""Of the host's memory, which pictures may take before they are left on the disk."""


def load(
    source: str | os.PathLike[str] | Parts,
    *,
    size: int | None = None,
    images: int | None = None,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    validation: float | None = None,
    test: float | None = None,
    progress: bool = True,
    stream: bool | None = False,
    holders: int = 1,
) -> Data:
    """Load and divide pictures; the same arguments give the same tensors.

    source: "mnist" (5,000 digits, needs nothing), "digits" (1,797 smaller ones), "cifar10",
        "cifar100" (downloaded once), or a folder that holds one folder of pictures per class, or
        such folders beneath train/ and, where they exist, validation/ and test/, which may have
        other names in use; or Parts, the folders of a split one by one; or shards, tar or parquet,
        in a folder or by a pattern (docs/folders.md). ~ and $HOME are put in. "./mnist" is the
        folder of that name.
    size: pixels a side. The shorter side is resized, with antialiasing, and the central square
        kept. None is native: 28, 8, 32, or the median shorter side of a folder, at most 256.
    images: at most so many training pictures, stratified; more contain fewer, and validation and
        test stay the same. Of a folder only the pictures that are used are decoded.
    seed: of the division into splits and of the pictures that `images` keeps; 0 or more.
    cache: folder for decoded pictures and downloads; None is $EVENSCALE_CACHE, else
        ~/.cache/evenscale. It may be deleted at any time.
    validation, test: the share of each class of the training pictures that is put aside where the
        source has no such part of its own; where it has, that part is used whole. None is 20 % and
        10 %, each at most 10,000 pictures. test=0 puts none aside.
    progress: show a bar on stderr while pictures are decoded.
    stream: whether the pictures of a folder are left on the disk and decoded each time they are
        used (`Split.files`); None: where they would take more than `SHARE` of the host's memory.
        They are all looked at once, and divided, refused and described as those in memory are.
    holders: processes of this machine that will hold the pictures, for that choice.

    Copies of a picture fall into one split, but where the source itself has put them into two.

    Raises ValueError, with the value and the remedy in one line, where an argument is out of range,
    the source is missing, can be read in more than one way or cannot be divided, or over 5 % of its
    pictures cannot be read.
    """
    _check(size, seed, validation, test)
    opened = _open(source, size, cache_folder(cache), progress)
    own = Subset.VALIDATION in opened.parts, Subset.TEST in opened.parts
    division = divide(
        opened.labels,
        opened.parts,
        opened.classes,
        validation=validation,
        test=test,
        images=images,
        seed=seed,
        twins=None if all(own) else _twins(opened),
    )
    chosen = np.unique(np.concatenate(division))  # sorted: one cache serves every seed
    pictures: Pictures | Scan
    files = None
    if _streams(opened, len(chosen), stream, holders) and opened.stream is not None:
        pictures, files = opened.stream(chosen, opened.size)
    else:
        pictures = opened.read(chosen, opened.size)
    _check_skipped(pictures, len(chosen), opened.name)
    kept, equal = _without_copies(opened, pictures, chosen, division, own)
    kept = Division(*(rows[pictures.sides.numpy()[rows] > 0] for rows in kept))
    train, held, final = (_take(opened, pictures, files, chosen, rows) for rows in kept)
    _check_splits(train, held, opened.classes)
    sides = pictures.sides[pictures.sides > 0]
    return Data(
        name=opened.name,
        train=train,
        validation=held,
        test=final,
        classes=opened.classes,
        channels=opened.channels,
        size=opened.size,
        native_size=int(sides.median()),
        skipped=pictures.skipped,
        enlarged=float((sides < opened.size).double().mean()),
        digest=_digest(opened, pictures, kept, train, held, final),
        flip=opened.flip,
        findings=Findings(
            passed_over=tuple(opened.passed_over.items()),
            unlabelled=opened.unlabelled,
            copies=equal,
            scales=pictures.scales,
            doubtful=tuple(_doubtful(opened, pictures, chosen)),
        ),
        seen=_seen(pictures, kept.train, opened.size),
        test_names=tuple(opened.name_of(int(chosen[row])) for row in kept.test),
    )


def _streams(source: Source, count: int, asked: bool | None, holders: int) -> bool:
    """Whether so many pictures are left where they are."""
    if source.stream is None:
        if asked:
            raise ValueError(f"{source.name!r} is in memory as it is: --stream is for folders")
        return False
    if asked is not None:
        return asked
    there = total_host_bytes()
    need = holders * count * source.channels * source.size**2
    return there is not None and need > SHARE * there


def native_size(source: str | os.PathLike[str] | Parts) -> int:
    """The pixels a side that `load` stores by default, without decoding the pictures.

    Raises ValueError as `load` does for a missing or empty source.
    """
    if source in ("cifar10", "cifar100"):
        return 32  # known without a download
    return _open(source, None, cache_folder(None), progress=False).size


def chosen_source(
    data: str | None, train: str | None, validation: str | None, test: str | None
) -> str | Parts:
    """What `load` is to be given, by the options --data, --train, --validation and --test.

    Raises ValueError where they do not go together.
    """
    if train is None:
        if validation or test:
            raise ValueError("--validation and --test are parts of a split: give --train too")
        return "mnist" if data is None else data
    if data is not None:
        raise ValueError(f"--train {train!r} and --data {data!r} are two data sets: give one")
    return Parts(train, validation, test)


def _open(
    source: str | os.PathLike[str] | Parts, size: int | None, cache: Path, progress: bool
) -> Source:
    match source:
        case "mnist":
            return mnist(size)
        case "digits":
            return digits(size)
        case "cifar10" | "cifar100":
            return cifar(source, size, cache)
        case Parts():
            train, *others = (path and expanded(os.fspath(path)) for path in source)
            given: str | Parts = Parts(train or "", *others)
        case _:
            train = given = expanded(os.fspath(source))
    opened = shards if are_shards(train or "") else folder
    return opened(given, size, cache, progress)


def _twins(source: Source) -> Indices | None:
    """Of every picture a number that copies of its file have too, those of training parts."""
    if source.twins is None:
        return None
    found = np.arange(len(source.labels))
    members = np.flatnonzero(source.parts == Subset.TRAIN)
    found[members] = source.twins(members)
    return found


def _without_copies(
    source: Source,
    pictures: Pictures | Scan,
    chosen: Indices,
    division: Division,
    own: tuple[bool, bool],
) -> tuple[Division, Copies]:
    """The division without copies on both sides, as rows of `pictures`; and what was found."""
    readable = pictures.sides.numpy() > 0
    if isinstance(pictures, Scan):
        equal = copies.same(pictures.hashes.numpy(), readable)
    else:
        equal = copies.equal(pictures.images.numpy(), readable)
    count, example = copies.conflicts(equal, source.labels[chosen])
    rows = Division(*(np.searchsorted(chosen, part) for part in division))
    kept, left_out, leaked = copies.settled(rows, equal, own)
    found = Copies(
        total=int((equal != np.arange(len(equal))).sum()),
        left_out=left_out,
        leaked=leaked,
        conflicts=count,
        example=tuple(source.name_of(int(chosen[row])) for row in example),
    )
    return kept, found


def _doubtful(
    source: Source, pictures: Pictures | Scan, chosen: Indices
) -> Iterator[tuple[str, str]]:
    doubts = pictures.doubts.numpy()
    for doubt, reason in DOUBTS.items():
        for row in np.flatnonzero(doubts & doubt):
            yield source.name_of(int(chosen[row])), reason


def _take(
    source: Source, pictures: Pictures | Scan, files: Files | None, chosen: Indices, rows: Indices
) -> Split:
    labels = torch.from_numpy(source.labels[chosen[rows]])
    if isinstance(pictures, Pictures):
        return Split(pictures.images[torch.from_numpy(rows)], labels)
    shape = (len(rows), source.channels, source.size, source.size)
    own = files and replace(files, paths=[files.paths[row] for row in rows.tolist()])
    return Split(torch.empty(shape, dtype=torch.uint8, device="meta"), labels, own)


def _seen(pictures: Pictures | Scan, train: Indices, size: int) -> Seen | None:
    if isinstance(pictures, Pictures):
        return None
    return seen(pictures, torch.from_numpy(train), size)


def _digest(source: Source, pictures: Pictures | Scan, kept: Division, *splits: Split) -> str:
    """Of pictures that stream by the hashes of their pixels, hence another one."""
    tensors: list[torch.Tensor] = []
    for rows, split in zip(kept, splits, strict=True):
        if isinstance(pictures, Scan):
            tensors += [pictures.hashes[torch.from_numpy(rows)], split.labels]
        else:
            tensors += [split.images, split.labels]
    return fingerprint(*source.classes, *tensors)[:16]


def _check(size: int | None, seed: int, validation: float | None, test: float | None) -> None:
    if size is not None and not 1 <= size <= _MAX_SIZE:
        raise ValueError(f"size={size} must be 1 to {_MAX_SIZE} pixels")
    if seed < 0:
        raise ValueError(f"seed={seed} must be 0 or more")
    if validation is not None and not 0 < validation < 1:
        raise ValueError(f"validation={validation} must be a share between 0 and 1")
    if test is not None and not 0 <= test < 1:
        raise ValueError(f"test={test} must be a share from 0 up to 1")


def _check_skipped(pictures: Pictures | Scan, count: int, name: str) -> None:
    if len(pictures.skipped) > _MAX_SKIPPED * count:
        first = "; ".join(f"{path}: {reason}" for path, reason in pictures.skipped[:3])
        raise ValueError(
            f"{len(pictures.skipped)} of {count} pictures of {name!r} cannot be read, more than"
            f" {_MAX_SKIPPED:.0%}: repair or remove them ({first})"
        )


def _check_splits(train: Split, validation: Split, classes: tuple[str, ...]) -> None:
    counts = torch.bincount(train.labels, minlength=len(classes))
    if lost := [name for name, count in zip(classes, counts.tolist(), strict=True) if not count]:
        raise ValueError(
            f"class {lost[0]!r} has no readable training picture, or only copies of those held out:"
            " repair its pictures, add others (10 of a class are little), remove the class, or give"
            " more images"
        )
    if not len(validation):
        raise ValueError(
            "the validation split has no readable picture, or only copies of test pictures: repair"
            " its pictures, or add others (100 are little)"
        )

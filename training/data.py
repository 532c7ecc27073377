"""Pictures for training, whole data sets as tensors in memory.

    data = load("mnist")                    # the digits that come with the toolkit
    data = load("~/pictures", size=64)      # one folder per class

A search measures accuracy on `validation` only. `test` is for one final training: whatever has been
chosen by a split can no longer be judged by it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from training.pictures.cache import cache_folder, fingerprint
from training.pictures.folders import folder
from training.pictures.images import Pictures
from training.pictures.sources import Source, cifar, digits, mnist
from training.pictures.splits import Indices, divide

_MAX_SIZE = 1024
_MAX_SKIPPED = 0.05


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled pictures: images uint8 (N, C, size, size), contiguous; labels int64 (N,).

    What `load` makes is in a random order whose every beginning is stratified, so `images[:n]` is a
    fair small sample.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        """The same pictures on `device`."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Data:
    """A data set divided for training.

    name: the built-in's name, or the folder's.
    train, validation: never empty, and every class is in train.
    test: empty (length 0, never None) where the source has none and `test=0` asked for none.
    classes: names; a label is an index into them.
    channels: 1 (mnist, digits) or 3 (everything else, folders of grey pictures included).
    size: pixels a side of the stored pictures.
    native_size: median shorter side of the originals, in pixels.
    skipped: (path, reason) of every picture that could not be read; paths are below the folder.
    enlarged: the fraction of pictures whose original was smaller than `size`.
    digest: 16 hexadecimal digits that depend on every pixel, label and class name of each split.
    flip: whether a mirrored picture keeps its label. Folders are taken to be natural pictures:
        where mirroring harms, as in pictures of text, use dataclasses.replace(data, flip=False).
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    channels: int
    size: int
    native_size: int
    skipped: tuple[tuple[str, str], ...]
    enlarged: float
    digest: str
    flip: bool

    @property
    def mean(self) -> torch.Tensor:
        """Mean of each channel over `train`, float32 (C,) on its device, of pixels in 0..1."""
        return self._moments[0]

    @property
    def std(self) -> torch.Tensor:
        """Standard deviation, as `mean`; at least one grey level, so one may divide by it."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        return _moments(self.train.images)

    def to(self, device: torch.device | str) -> Data:
        """The same data with every split on `device`; itself where it is there already."""
        if self.train.images.device == torch.device(device):
            return self
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
        )


def load(
    source: str | os.PathLike[str],
    *,
    size: int | None = None,
    images: int | None = None,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    validation: float | None = None,
    test: float | None = None,
    progress: bool = True,
) -> Data:
    """Load and divide pictures; the same arguments give the same tensors.

    source: "mnist" (5,000 digits, needs nothing), "digits" (1,797 smaller ones), "cifar10",
        "cifar100" (downloaded once), or a folder that holds one folder of pictures per class,
        or such folders beneath train/ and, where they exist, val/ (validation/, valid/) and test/.
        "./mnist" is the folder of that name.
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

    Raises ValueError, with the value and the remedy in one line, where an argument is out of range,
    the source is missing or cannot be divided, or over 5 % of its pictures cannot be read.
    """
    _check(size, seed, validation, test)
    opened = _open(source, size, cache_folder(cache), progress)
    division = divide(
        opened.labels,
        opened.parts,
        opened.classes,
        validation=validation,
        test=test,
        images=images,
        seed=seed,
    )
    chosen = np.unique(np.concatenate(division))  # sorted: one cache serves every seed
    pictures = opened.read(chosen, opened.size)
    _check_skipped(pictures, len(chosen), opened.name)
    train, held, final = (_take(opened, pictures, chosen, part) for part in division)
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
        digest=_digest(opened.classes, train, held, final),
        flip=opened.flip,
    )


def native_size(source: str | os.PathLike[str]) -> int:
    """The pixels a side that `load` stores by default, without decoding the pictures.

    Raises ValueError as `load` does for a missing or empty source.
    """
    if source in ("cifar10", "cifar100"):
        return 32  # known without a download
    return _open(source, None, cache_folder(None), progress=False).size


def _open(source: str | os.PathLike[str], size: int | None, cache: Path, progress: bool) -> Source:
    match source:
        case "mnist":
            return mnist(size)
        case "digits":
            return digits(size)
        case "cifar10" | "cifar100":
            return cifar(source, size, cache)
        case _:
            return folder(Path(os.path.expanduser(source)), size, cache, progress)


def _take(source: Source, pictures: Pictures, chosen: Indices, part: Indices) -> Split:
    rows = np.searchsorted(chosen, part)
    readable = pictures.sides.numpy()[rows] > 0
    labels = torch.from_numpy(source.labels[part[readable]])
    return Split(pictures.images[torch.from_numpy(rows[readable])], labels)


def _digest(classes: tuple[str, ...], *splits: Split) -> str:
    tensors = [tensor for split in splits for tensor in (split.images, split.labels)]
    return fingerprint(*classes, *tensors)[:16]


def _moments(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (C,) of pixels in 0..1.

    The sums are of whole numbers below 2**53, hence exact, and the same on every device.
    """
    channels, pixels = images.shape[1], images[:, 0].numel()
    total = torch.zeros(channels, dtype=torch.float64, device=images.device)
    squares = torch.zeros_like(total)
    few = max(1, 2**18 // images[0].numel())  # as many as stay in a processor's cache
    for some in torch.split(images, few):
        values = some.double()
        total += values.sum((0, 2, 3))
        squares += values.square_().sum((0, 2, 3))
    mean = total / pixels
    std = (squares / pixels - mean.square()).clamp(min=1).sqrt()
    return (mean / 255).float(), (std / 255).float()


def _check(size: int | None, seed: int, validation: float | None, test: float | None) -> None:
    if size is not None and not 1 <= size <= _MAX_SIZE:
        raise ValueError(f"size={size} must be 1 to {_MAX_SIZE} pixels")
    if seed < 0:
        raise ValueError(f"seed={seed} must be 0 or more")
    if validation is not None and not 0 < validation < 1:
        raise ValueError(f"validation={validation} must be a share between 0 and 1")
    if test is not None and not 0 <= test < 1:
        raise ValueError(f"test={test} must be a share from 0 up to 1")


def _check_skipped(pictures: Pictures, count: int, name: str) -> None:
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
            f"class {lost[0]!r} has no readable training picture: repair its pictures, or remove it"
        )
    if not len(validation):
        raise ValueError("the validation split has no readable picture: repair or add pictures")

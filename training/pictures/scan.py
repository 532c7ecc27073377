"""Pictures that are looked at once and not kept: all that is asked of them before a training.

A folder that does not fit in memory is decoded once from end to end, so that what cannot be read,
what is a copy of another and the mean colour are known as if the pixels were at hand. From then on
``Files`` decodes each picture when it is wanted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from common.plain import printable
from training.pictures import cache, images, reading
from training.pictures.deep import Scale, Scales
from training.pictures.images import Decoded

_TENSORS = ("sides", "doubts", "hashes", "sums", "squares", "coloured")
_HASH = 16  # bytes


@dataclass(frozen=True, eq=False)
class Scan:
    """What was seen of N pictures at some size.

    sides, doubts, skipped, scales: as ``reading.Pictures`` has them.
    hashes: uint8 (N, 16), of the pixels: equal pictures have equal ones.
    sums, squares: int64 (N, 3), of each channel's pixels in 0..255, hence exact.
    coloured: bool (N,), whether the channels differ anywhere.
    """

    sides: torch.Tensor
    doubts: torch.Tensor
    hashes: torch.Tensor
    sums: torch.Tensor
    squares: torch.Tensor
    coloured: torch.Tensor
    skipped: tuple[tuple[str, str], ...]
    scales: Scales


class Seen(NamedTuple):
    """What the pixels of training pictures would tell: float32 (3,) of pixels in 0..1; whether
    there is any colour."""

    mean: torch.Tensor
    std: torch.Tensor
    coloured: bool


@dataclass(frozen=True, eq=False)
class Files:
    """Picture files that are decoded when they are asked for; picklable.

    The pictures are those that ``reading.read`` gives: uint8 (3, size, size).
    """

    root: str
    paths: Sequence[str]
    size: int
    scales: Scales

    def __getitem__(self, place: int) -> torch.Tensor:
        """Raises ValueError where the file can no longer be read."""
        path = os.path.join(self.root, self.paths[place])
        try:
            with images.pillow_silent():
                pixels = images.decode(path, self.size, self.scales).pixels
        except ValueError as error:
            raise ValueError(
                f"{path} can no longer be read ({error}): bring it back, or begin anew without it"
            ) from None
        return torch.from_numpy(np.ascontiguousarray(pixels))

    def part(self, places: slice) -> Files:
        """Those in these places."""
        return Files(self.root, self.paths[places], self.size, self.scales)


def scan(root: str, paths: Sequence[str], size: int, scales: Scales, progress: bool = True) -> Scan:
    """Look at the files ``paths`` (relative to ``root``) as ``size`` x ``size`` pixels.

    Those that cannot be read are reported in ``skipped``.
    """
    count = len(paths)
    sides, doubts = np.zeros(count, np.int32), np.zeros(count, np.uint8)
    hashes, coloured = np.zeros((count, _HASH), np.uint8), np.zeros(count, np.bool_)
    sums, squares = np.zeros((count, 3), np.int64), np.zeros((count, 3), np.int64)

    def take(row: int, found: Decoded) -> None:
        pixels = np.ascontiguousarray(found.pixels)
        sides[row], doubts[row] = found.side, found.doubt
        hashes[row] = np.frombuffer(
            hashlib.blake2b(pixels.data, digest_size=_HASH).digest(), np.uint8
        )
        coloured[row] = bool((pixels != pixels[:1]).any())
        wide = pixels.reshape(3, -1).astype(np.int64)
        sums[row], squares[row] = wide.sum(1), (wide**2).sum(1)

    skipped = reading.decode_each(root, paths, size, scales, take, progress)
    arrays = (sides, doubts, hashes, sums, squares, coloured)
    tensors = dict(zip(_TENSORS, map(torch.from_numpy, arrays), strict=True))
    return Scan(**tensors, skipped=tuple(skipped), scales=scales)


def seen(found: Scan, rows: torch.Tensor, size: int) -> Seen:
    """What the pictures in these rows tell, to the bit what their pixels would."""
    pixels = len(rows) * size * size
    mean = found.sums[rows].sum(0).double() / pixels
    squares = found.squares[rows].sum(0).double() / pixels
    std = (squares - mean.square()).clamp(min=1).sqrt()
    coloured = bool(found.coloured[rows[:1000]].any())
    return Seen((mean / 255).float(), (std / 255).float(), coloured)


def load(path: Path) -> Scan | None:
    """The scan stored at ``path``; None where there is none, or a damaged one."""
    stored = cache.fetch(path, _TENSORS)
    if stored is None:
        return None
    tensors, told = stored
    skipped = tuple((name, reason) for name, reason in json.loads(told["skipped"]))
    scales = Scales(*(each and Scale(*each) for each in json.loads(told["scales"])))
    return Scan(**tensors, skipped=skipped, scales=scales)


def save(path: Path, found: Scan, root: str) -> None:
    """Store it, of the folder ``root``, at ``path``, at once or not at all; a failure is only
    logged."""
    told = {"skipped": json.dumps(found.skipped), "scales": json.dumps(found.scales)}
    told |= {cache.ROOT: printable(root)}
    cache.store(path, {name: getattr(found, name) for name in _TENSORS}, told)

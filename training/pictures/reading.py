"""Many picture files as one tensor, decoded on a few threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from common.bars import tqdm
from common.host_memory import free_host_bytes, gigabytes
from training.pictures import images
from training.pictures.deep import NO_SCALES, Scales
from training.pictures.images import Decoded

_BLOCK = 64  # pictures per task: enough to make the cost of a task vanish


@dataclass(frozen=True, eq=False)
class Pictures:
    """Decoded pictures.

    images: uint8 (N, C, size, size); rows of unreadable pictures are zero.
    sides: int32 (N,), the shorter side of each original in pixels; 0 marks an unreadable picture.
    doubts: uint8 (N,), of each picture its `images.Doubt`.
    skipped: (path, reason) of each unreadable picture, in order.
    scales: what became black and white in pictures of more than 8 bits.
    """

    images: torch.Tensor
    sides: torch.Tensor
    doubts: torch.Tensor
    skipped: tuple[tuple[str, str], ...] = ()
    scales: Scales = NO_SCALES


def read(
    root: str, paths: Sequence[str], size: int, scales: Scales = NO_SCALES, progress: bool = True
) -> Pictures:
    """Decode the files `paths` (relative to `root`) to `size` x `size` pixels, on a few threads.

    An unreadable file is reported in `skipped`. Raises ValueError where the result cannot fit in
    the memory that is free.
    """
    _check_memory(len(paths), size)
    pixels = np.zeros((len(paths), 3, size, size), np.uint8)
    sides = np.zeros(len(paths), np.int32)
    doubts = np.zeros(len(paths), np.uint8)

    def take(row: int, found: Decoded) -> None:
        pixels[row], sides[row], doubts[row] = found

    skipped = decode_each(root, paths, size, scales, take, progress)
    return Pictures(
        images=torch.from_numpy(pixels),
        sides=torch.from_numpy(sides),
        doubts=torch.from_numpy(doubts),
        skipped=tuple(skipped),
        scales=scales,
    )


def decode_each(
    root: str,
    paths: Sequence[str],
    size: int,
    scales: Scales,
    take: Callable[[int, Decoded], None],
    progress: bool,
) -> list[tuple[str, str]]:
    """Decode the files on a few threads and hand each to ``take``, with its place in ``paths``.

    The result is what could not be read, (path, reason), in order.
    """

    def decode_block(start: int) -> list[tuple[str, str]]:
        skipped = []
        for row in range(start, min(start + _BLOCK, len(paths))):
            try:
                take(row, images.decode(os.path.join(root, paths[row]), size, scales))
            except ValueError as error:
                skipped.append((paths[row], str(error)))
        return skipped

    skipped: list[tuple[str, str]] = []
    bar = tqdm(
        total=len(paths),
        desc="reading pictures",
        delay=1,
        disable=not progress,
        mininterval=0.1 if sys.stderr.isatty() else 10,  # a log gets a line now and then
    )
    # Pillow releases the interpreter lock while it decodes and resizes, so threads are enough.
    pool = ThreadPoolExecutor(min(8, torch.get_num_threads()))
    with bar, images.pillow_silent():
        try:
            for block in pool.map(decode_block, range(0, len(paths), _BLOCK)):
                skipped += block
                bar.update(min(_BLOCK, len(paths) - bar.n))
        finally:  # an interrupt must not wait for the pictures still queued
            pool.shutdown(cancel_futures=True)
    return skipped


def _check_memory(count: int, size: int) -> None:
    need, free = count * 3 * size * size, free_host_bytes()
    if free is not None and need > free:  # where unknown, the allocation itself has to fail
        raise ValueError(
            f"{count:,} pictures at {size}x{size} take {gigabytes(need)} and {gigabytes(free)} of "
            "memory is free: give a smaller size, or fewer images"
        )

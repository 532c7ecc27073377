"""Seconds and memory of a folder of 200,000 pictures.

    python -m benchmarks.timing.many_files

Pictures of 16 pixels in 10 classes, made below a temporary folder. For each way to read them: the
wall time, and the greatest resident memory of a process that does nothing else.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.timing.memory import status
from training.data import load, native_size

FILES, CLASSES = 200_000, 10


def paint(folder: Path, files: int) -> Path:
    """``files`` small pictures, no two equal, in class folders of equal size."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    for number in range(files):
        below = folder / f"class-{number % CLASSES}"
        if number < CLASSES:
            below.mkdir(parents=True)
        pixels[0, 0] = number % 256, number // 256 % 256, number // 65536
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG", compress_level=0)
        (below / f"{number:06}.png").write_bytes(content.getvalue())
    return folder


def size(folder: Path, cache: Path) -> int:
    """List the files and look at some headers."""
    return native_size(folder)


def few(folder: Path, cache: Path) -> int:
    """What a search reads: 2,000 training pictures, validation and test."""
    return _count(folder, cache, 2000)


def everything(folder: Path, cache: Path) -> int:
    """All of them."""
    return _count(folder, cache, None)


def _count(folder: Path, cache: Path, images: int | None) -> int:
    data = load(folder, images=images, cache=cache, progress=False)
    return len(data.train) + len(data.validation) + len(data.test)


WAYS: tuple[Callable[[Path, Path], int], ...] = (size, few, everything, everything)


def measure(way: Callable[[Path, Path], int], folder: Path, cache: Path) -> tuple[int, float, int]:
    """What ``way`` returns, its seconds and the bytes of its process's greatest resident memory."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_measure, way, folder, cache).result()


def _measure(way: Callable[[Path, Path], int], folder: Path, cache: Path) -> tuple[int, float, int]:
    start = time.perf_counter()
    found = way(folder, cache)
    seconds = time.perf_counter() - start
    return found, seconds, status("VmHWM")


def main() -> None:
    """Print one row a way; the last one finds the cache that the third has left."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--files", type=int, default=FILES)
    files = made.parse_args().files
    with tempfile.TemporaryDirectory() as below:
        folder, cache = paint(Path(below) / "pictures", files), Path(below) / "cache"
        print(f"{files} files\n\n| read | result | seconds | peak, MiB |\n|---|---|---|---|")
        for way in WAYS:
            found, seconds, peak = measure(way, folder, cache)
            print(f"| {way.__name__} | {found} | {seconds:.1f} | {peak / 2**20:.0f} |", flush=True)


if __name__ == "__main__":
    main()

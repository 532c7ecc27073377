"""Pictures a second in training, from memory and streaming from disk, beside the decoder alone.

    python -m benchmarks.timing.streaming [--pictures 512] [--side 64] [--from 256] [--workers 2]

Photograph-like JPEGs (noise of all scales) are written to a temporary folder. Of each row the rate
is that of an epoch's steps after one that does not count: what each process does once is over.
``decode`` is the same workers with nothing trained: no stream can be faster.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.families import family
from training.data import Data, load
from training.loop.feeds.feed import Feed
from training.loop.train import trainer
from training.recipe import Recipe

NETWORKS = ("mobilenet-v1-0.25-128", "mobilenet-v2", "efficientnet-b0")


def main() -> None:
    """Print one row a network, and the decoder's own rate."""
    given = argparse.ArgumentParser()
    for name, default in (("pictures", 512), ("side", 64), ("from", 256), ("workers", 2)):
        given.add_argument(f"--{name}", type=int, default=default)
    args = vars(given.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        root = write(Path(folder) / "pictures", args["pictures"], args["from"])
        here, there = (
            load(root, size=args["side"], stream=way, cache=f"{folder}/cache", progress=False)
            for way in (False, True)
        )
        print(f"decode: {decoding(there, args['workers']):.0f} pictures/s")
        print("| network | in memory, pictures/s | streaming, pictures/s | share |")
        print("|---|---|---|---|")
        for name in NETWORKS:
            memory = training(name, here, 0)
            stream = training(name, there, args["workers"])
            print(f"| {name} | {memory:.0f} | {stream:.0f} | {stream / memory:.2f} |", flush=True)


def write(root: Path, count: int, side: int) -> Path:
    """``count`` JPEGs in two classes, of noise that is as strong at every scale."""
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = np.full((side, side, 3), 128.0)
        for size in (4, 16, 64, side):
            small = Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8))
            pixels += 0.25 * (np.asarray(small.resize((side, side)), float) - 128)
        folder = root / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            folder / f"{number}.jpg", quality=90
        )
    return root


def training(name: str, data: Data, workers: int) -> float:
    """Pictures a second of the steps of an epoch."""
    recipe = Recipe(epochs=2, batch=32)
    spec = replace(family(name), resolution=data.size, classes=2)
    run = trainer(spec, recipe, data, 0, torch.device("cpu"), workers=workers)
    run.epoch()
    start = time.perf_counter()
    run.epoch()
    return run.step / 2 * run.batch / (time.perf_counter() - start)


def decoding(data: Data, workers: int) -> float:
    """Pictures a second of the workers alone."""
    feed = Feed(data.train, workers=workers)
    for _ in feed.in_order(32):
        pass
    start = time.perf_counter()
    for _ in feed.in_order(32):
        pass
    return len(data.train) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()

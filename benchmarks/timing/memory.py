"""The estimate of a training's memory (``models.memory``) against its measured peak on the CPU.

    python -m benchmarks.timing.memory [--recompute] [NETWORK PIXELS BATCH]

With ``--recompute`` stages are computed again in the backward pass. Each training runs in a process
of its own with a worker's settings: the greatest resident memory while it lasts, above what the
process held before. Linux only.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch

from models.families import family
from models.memory import step_bytes
from training.data import Data, Split
from training.loop.memory import release
from training.loop.train import train
from training.recipe import Recipe
from trials.workers.environment import child_environment, thread_variables

CASES = (
    ("efficientnet-b0", 224, 8), ("efficientnet-b0", 128, 16), ("efficientnet-b0", 64, 32),
    ("efficientnet-b0", 64, 2), ("efficientnet-b3", 128, 16), ("mobilenet-v1", 128, 16),
    ("mobilenet-v2", 128, 16), ("mnasnet-a1", 128, 16), ("rexnet-1.0", 128, 16),
    ("resnet-18", 128, 16), ("resnet-50", 128, 16), ("convnext-t", 128, 8),
)  # fmt: skip


def measure(name: str, side: int, batch: int, recompute: bool = False) -> tuple[int, int]:
    """Estimated and measured bytes of training ``name`` on noise, in a fresh process."""
    with (
        child_environment(thread_variables(1)),
        ProcessPoolExecutor(1, get_context("spawn")) as pool,
    ):
        return pool.submit(_measure, name, side, batch, recompute).result()


def _measure(name: str, side: int, batch: int, recompute: bool) -> tuple[int, int]:
    # What a first training loads once and for all is no part of the second one's memory.
    _train("mobilenet-v1-0.25-128", noise(8, 32), 4)
    data = noise(2 * batch, side)
    spec = replace(family(name), resolution=side, classes=len(data.classes))
    release(torch.device("cpu"))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    _train(name, data, batch, recompute)
    estimate = step_bytes(spec, batch, recompute=recompute)
    return estimate, status("VmHWM") - before


def _train(name: str, data: Data, batch: int, recompute: bool = False) -> None:
    spec = replace(family(name), resolution=data.size)
    train(spec, Recipe(epochs=1, batch=batch, recompute=recompute), data, 0, "cpu")


def noise(count: int, side: int) -> Data:
    """``count`` training pictures of 3 channels without any content, in ten classes."""
    generator = torch.Generator().manual_seed(0)

    def split(images: int) -> Split:
        pixels = torch.randint(0, 256, (images, 3, side, side), generator=generator)
        return Split(pixels.byte(), torch.arange(images) % 10)

    data = Data(
        "noise",
        split(count),
        split(2),
        split(0),
        tuple("0123456789"),
        3,
        side,
        side,
        (),
        0.0,
        "none",
        True,
    )
    _ = data.mean  # computed once for each data set: no part of a training either
    return data


def status(name: str) -> int:
    """Bytes of a field of this process's /proc/self/status, such as VmRSS."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"no {name} in /proc/self/status: this needs Linux")


def main() -> None:
    """Print one row a case."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    given = argparse.ArgumentParser()
    given.add_argument("--recompute", action="store_true")
    given.add_argument("case", nargs="*", help="a network, its pixels and the batch; default: many")
    args = given.parse_args()
    cases = [(args.case[0], int(args.case[1]), int(args.case[2]))] if args.case else CASES
    print("| network | pixels | batch | estimated, MiB | measured, MiB | ratio |")
    print("|---|---|---|---|---|---|")
    for name, side, batch in cases:
        estimate, peak = measure(name, side, batch, args.recompute)
        print(
            f"| {name} | {side} | {batch} | {estimate / 2**20:.0f} | {peak / 2**20:.0f} | "
            f"{estimate / peak:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

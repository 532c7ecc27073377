"""The share of a pipeline's time in which its stages wait, predicted and measured.

    python -m benchmarks.timing.bubbles [--spec efficientnet-b0] [--side 64] [--images 4]

Predicted is GPipe's (K - 1) / (M + K - 1) for K stages (``--stages``) of equal cost and M
micro-batches. Measured is 1 - busy / (K · wall): busy, the processor time that all stages spend in
forwards and backwards of a batch; wall, from its beginning to its end, the median of several. Each
process has a thread: the machine must have an idle core for each, or ``wall`` is the other work's
too. ``dearest`` is the dearest stage's share of the busy time: 1 / K where they are equal.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.timing.memory import noise
from models.families import family
from training.loop.processes import Processes, joined
from training.loop.together.pipeline import SCHEDULES
from training.loop.train import trainer
from training.recipe import Recipe

MICRO_BATCHES = (1, 2, 4, 8, 16)
_BATCHES = 7
_FIRST = 2  # that do not count


def main() -> None:
    """Start the stages; each runs this file again."""
    given = argparse.ArgumentParser()
    given.add_argument("--spec", default="efficientnet-b0")
    for name, default in (("side", 64), ("images", 4), ("stages", 2)):
        given.add_argument(f"--{name}", type=int, default=default)
    args = given.parse_args()
    if "WORLD_SIZE" in os.environ:
        _stage(args.spec, args.side, args.images)
        return
    starter = ("torch.distributed.run", "--standalone", "--nproc-per-node", str(args.stages))
    subprocess.run(
        [sys.executable, "-m", *starter, "-m", "benchmarks.timing.bubbles", *sys.argv[1:]],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _stage(name: str, side: int, images: int) -> None:
    torch.set_num_threads(1)
    with joined(torch.device("cpu"), SCHEDULES[0]) as (among, _):
        if among.is_first:
            print("| schedule | micro-batches | predicted | measured | dearest | wall, ms |")
            print("|---|---|---|---|---|---|", flush=True)
        for count in MICRO_BATCHES:
            for schedule in SCHEDULES:
                if schedule == "1f1b" and count < among.count:
                    continue  # torch's own condition
                row = measured(name, side, images, count, replace(among, schedule=schedule))
                if among.is_first:
                    predicted = (among.count - 1) / (count + among.count - 1)
                    print(
                        f"| {schedule} | {count} | {predicted:.2f} | {row['bubble']:.2f} | "
                        f"{row['dearest']:.2f} | {1000 * row['wall']:.0f} |",
                        flush=True,
                    )


def measured(name: str, side: int, images: int, count: int, among: Processes) -> dict[str, float]:
    """Of batches of ``count`` micro-batches of so many ``images``."""
    batch = count * images
    spec = replace(family(name), resolution=side, classes=10)
    recipe, data = Recipe(batch=batch, epochs=1, micro_batch=images), noise(batch, side)
    run = trainer(spec, recipe, data, 0, torch.device("cpu"), micro_batches=count, among=among)
    run.network.train()
    line, busy = run._line, [0.0]
    assert line is not None
    x, labels = torch.randn(batch, 3, side, side), torch.arange(batch) % 10
    stage = line._schedule(tuple(x.shape))._stage
    for part in ("forward_one_chunk", "backward_one_chunk"):
        setattr(stage, part, _timed(getattr(stage, part), busy))
    found = []
    for _ in range(_FIRST + _BATCHES):
        busy[0] = 0.0
        dist.barrier()
        start = time.perf_counter()
        line.gradients(x, labels)
        wall = time.perf_counter() - start
        run.optimizer.zero_grad()
        each = [json.loads(one) for one in _all(json.dumps([wall, busy[0]]), among)]
        longest, spent = max(one[0] for one in each), [one[1] for one in each]
        found.append((1 - sum(spent) / (among.count * longest), max(spent) / sum(spent), longest))
    bubble, dearest, wall = (statistics.median(some) for some in zip(*found[_FIRST:], strict=True))
    return {"bubble": bubble, "dearest": dearest, "wall": wall}


def _timed(work: Callable[..., Any], busy: list[float]) -> Callable[..., Any]:
    def timed(*args: Any, **more: Any) -> Any:
        start = time.thread_time()
        try:
            return work(*args, **more)
        finally:
            busy[0] += time.thread_time() - start

    return timed


def _all(words: str, among: Processes) -> list[str]:
    every: list[str] = [""] * among.count
    dist.all_gather_object(every, words)
    return every


if __name__ == "__main__":
    main()

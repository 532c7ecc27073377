"""Pictures a second of one process and of several that train together, a thread each, on the CPU.

    python -m benchmarks.timing.processes [--spec efficientnet-b0] [--side 64] [--batch 64]

The batch is the same: with several each has its part. Both are timed over steps that follow some
that do not count. Processor seconds a picture tell what the work costs whatever else the machine
does: their ratio times the number of processes is the speed-up that idle cores would give, at most.
``--shard`` shares out the weights too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import torch

from benchmarks.timing.memory import noise
from models.families import family
from training.loop.processes import joined
from training.loop.train import trainer
from training.recipe import Recipe

_STEPS = 12


def main() -> None:
    """A row for one process and one for several, each of which runs this file again."""
    given = argparse.ArgumentParser()
    given.add_argument("--spec", default="efficientnet-b0")
    for name, default in (("side", 64), ("batch", 64), ("processes", 2)):
        given.add_argument(f"--{name}", type=int, default=default)
    given.add_argument("--shard", action="store_true")
    args = given.parse_args()
    if "WORLD_SIZE" in os.environ:
        _measure(args)
        return
    print("| processes | pictures/s | processor ms a picture | speed-up | on idle cores, at most |")
    print("|---|---|---|---|---|")
    rates: list[tuple[float, float]] = []
    for count in (1, args.processes):
        starter = ("torch.distributed.run", "--standalone", "--nproc-per-node", str(count))
        done = subprocess.run(
            [sys.executable, "-m", *starter, "-m", "benchmarks.timing.processes", *sys.argv[1:]],
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        rates.append(tuple(json.loads(done.stdout)))
        (first, cheap), (rate, spent) = rates[0], rates[-1]
        print(
            f"| {count} | {rate:.1f} | {1000 * spent:.1f} | {rate / first:.2f} | "
            f"{count * cheap / spent:.2f} |",
            flush=True,
        )


def _measure(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    several = int(os.environ["WORLD_SIZE"]) > 1
    with joined(torch.device("cpu"), None, args.shard and several) as (among, place):
        spec = replace(family(args.spec), resolution=args.side, classes=10)
        recipe, data = Recipe(epochs=2, batch=args.batch), noise(_STEPS * args.batch, args.side)
        run = trainer(spec, recipe, data, 0, place, among=among)
        run.epoch(lambda step: step == 2)
        start, spent = time.perf_counter(), time.process_time()
        run.epoch()
        wall, spent = time.perf_counter() - start, time.process_time() - spent
        pictures = _STEPS * args.batch
        total = among.summed(torch.tensor([spent], dtype=torch.float64)).item()
        if among.is_first:
            print(json.dumps([pictures / wall, total / pictures]))


if __name__ == "__main__":
    main()

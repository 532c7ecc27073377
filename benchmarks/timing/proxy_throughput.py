"""Candidates an hour: the project's proxy training on all cores against a plain PyTorch loop.

    python -m benchmarks.timing.proxy_throughput --data cifar10 --networks 4 --rounds 3

Equal work: the same networks' twins, pictures, resolution, epochs, batch and schedule. The plain
loop is what a script of one's own does: a DataLoader over uint8 pictures with torchvision's
transforms, NCHW, torch's default threads, one network after another. The project's side is its
pool of worker processes, a core each, started beforehand. The two take turns; every round gives a
ratio. Where the time goes: ``benchmarks.timing.proxy_operators``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from benchmarks.support.plain import plain
from common.command import count, parser
from common.command import run as run_command
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.objective import Objective
from nas.space import space
from training.data import Data, load
from training.evaluator import ByName, Evaluator, proxy_recipe
from training.recipe import Recipe
from trials.workers.environment import cores
from trials.workers.pool import ProcessPool

SPACE = space("mnasnet")


def main(argv: Sequence[str] | None = None) -> None:
    """Print one line a round and the median ratio."""
    made = options(parser("benchmarks.timing.proxy_throughput", __doc__ or ""))
    made.add_argument("--rounds", type=count, default=3)
    args = made.parse_args(argv)
    data = load(args.data, progress=False)
    specs, recipe = drawn(data, args)
    compare(specs, recipe, data, args)


def options(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser with the options that say what is trained."""
    made.add_argument("--data", default="mnist", help="as for the searches")
    made.add_argument("--networks", type=count, default=4)
    made.add_argument("--images", type=count, default=1000, help="to train on, and to judge by")
    return made


def drawn(data: Data, args: argparse.Namespace) -> tuple[list[ArchSpec], Recipe]:
    """Networks in the window of a budget of 400M, and the default recipe on fewer pictures."""
    recipe = proxy_recipe(data.native_size, "cpu")
    rows = Candidates(SPACE, Objective(400e6)).draw(args.networks, np.random.default_rng(0))
    fewer = replace(recipe, images=args.images, held_out=args.images)
    return [SPACE.spec_of(row) for row in rows], fewer


def compare(specs: list[ArchSpec], recipe: Recipe, data: Data, args: argparse.Namespace) -> None:
    """Plain and ours in turn, on the same networks."""
    workers = cores()
    threads = torch.get_num_threads()
    print(
        f"{len(specs)} networks, {recipe.images} pictures of {data.name}, {recipe.epochs} epochs "
        f"at {recipe.resolution} pixels; plain: 1 process of {threads} threads, ours: {workers} "
        f"processes of 1; torch {torch.__version__}"
    )
    evaluator = Evaluator(ByName(args.data), recipe, "cpu")
    ratios = []
    with ProcessPool(evaluator, workers) as pool:
        for number in range(workers):  # data are loaded before the clock runs
            pool.submit(number, specs[0], 0)
        for _ in range(workers):
            pool.next()
        for turn in range(args.rounds):
            start = time.perf_counter()
            theirs = [plain(spec, recipe, data, turn) for spec in specs]
            middle = time.perf_counter()
            for number, spec in enumerate(specs):
                pool.submit(number, spec, turn)
            ours = [getattr(pool.next()[1], "accuracy", float("nan")) for _ in specs]
            end = time.perf_counter()
            ratios.append((middle - start) / (end - middle))
            rates = [3600 * len(specs) / taken for taken in (middle - start, end - middle)]
            print(
                f"round {turn + 1}: plain {rates[0]:.0f} candidates an hour (mean accuracy "
                f"{statistics.mean(theirs):.3f}), ours {rates[1]:.0f} "
                f"({statistics.mean(ours):.3f}): {ratios[-1]:.2f} times",
                flush=True,
            )
    print(
        f"median {statistics.median(ratios):.2f} times, {min(ratios):.2f} to {max(ratios):.2f}, "
        f"n = {len(ratios)}"
    )


if __name__ == "__main__":
    sys.exit(run_command(main))

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
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from common.command import count, parser
from common.command import run as run_command
from models.build import build
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.objective import Objective
from nas.space import space
from training.data import Data, load
from training.evaluator import ByName, Evaluator, proxy_recipe
from training.loop.trainer import schedule
from training.recipe import Recipe
from trials.workers.environment import cores
from trials.workers.pool import ProcessPool

SPACE = space("mnasnet")


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """The training pictures, one by one, through torchvision's transforms."""

    def __init__(self, data: Data, recipe: Recipe, side: int) -> None:
        self.images, self.labels = data.train.images, data.train.labels
        self.length = min(recipe.images or len(self.images), len(self.images))
        steps: list[nn.Module] = [
            v2.RandomCrop(data.train.images.shape[-1], padding=round(recipe.shift * side)),
            *([v2.RandomHorizontalFlip()] if data.flip else []),
            v2.Resize(side, antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(data.mean.flatten().tolist(), data.std.flatten().tolist()),
        ]
        self.transform = v2.Compose(steps)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[i]), int(self.labels[i])


def plain(spec: ArchSpec, recipe: Recipe, data: Data, seed: int) -> float:
    """One training as a script of one's own would do it; its validation accuracy."""
    torch.manual_seed(seed)
    twin = recipe.network(spec, len(data.classes), data.channels)
    network = build(twin)
    batches = DataLoader(
        Pictures(data, recipe, twin.resolution), recipe.batch, shuffle=True, drop_last=True
    )
    optimizer = torch.optim.SGD(
        network.parameters(),
        recipe.rate(),
        recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
    )
    total = recipe.epochs * len(batches)
    planned = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: schedule(step / total, recipe.warmup)
    )
    network.train()
    for _ in range(recipe.epochs):
        for images, labels in batches:
            loss = F.cross_entropy(network(images), labels, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizer.step()
            planned.step()
    return _accuracy(network, recipe, data, twin.resolution)


@torch.no_grad()
def _accuracy(network: nn.Module, recipe: Recipe, data: Data, side: int) -> float:
    network.eval()
    split = data.validation
    held_out = min(recipe.held_out or len(split), len(split))
    resize = v2.Compose(
        [
            v2.Resize(side, antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(data.mean.flatten().tolist(), data.std.flatten().tolist()),
        ]
    )
    correct = 0
    for start in range(0, held_out, 500):
        stop = min(start + 500, held_out)
        found = network(resize(split.images[start:stop])).argmax(1)
        correct += int((found == split.labels[start:stop]).sum())
    return correct / held_out


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

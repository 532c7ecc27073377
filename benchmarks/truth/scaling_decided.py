"""How many comparisons of scalings short trainings decide, and whether longer ones agree.

    python -m benchmarks.truth.scaling_decided PICTURES --seeds 3 --out runs/decided

A family's network with published weights, at few pixels, is brought to twice its cost in six ways:
depth, width and resolution alone, EfficientNet's 1.2, 1.1, 1.15, and halfway between depth and
width and between width and resolution. Each is trained shortly under the same seeds, once grown
from the baseline's weights, once from scratch, and a few times for longer from the weights, which
is what a user would do in the end. A pair is decided where the paired 90 % interval (Student's t)
of its difference over the seeds excludes 0; it is of these validation pictures. The rows are what
the difference is of: accuracy, the mean probability of the own class, exp(-loss), and the mean of
the latter two (``trials.signal``). What is finished is kept in --out;
``benchmarks.support.shares`` says how several processes make it. The recipes are a CPU's, whatever
the device.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import t

from benchmarks.support.rankings import Floats
from benchmarks.support.shares import WHOLE, add_options, parent_at, read, write
from common.command import count, parser, place
from common.command import run as run_command
from models.spec import ArchSpec
from nas.calibrate import agreement
from scaling_search.coefficients import PAPER
from scaling_search.points.point import SINGLES, multipliers
from scaling_search.points.scalable import SpecBaseline
from scaling_search.points.solver import nearest, single, solve
from training.data import Data, load
from training.evaluator import proxy_recipe
from training.loop.feeds.placed import placed
from training.loop.train import train
from training.transfer.child import child
from training.transfer.options import transfer_recipe
from training.transfer.parent import Parent, of_data, prepared
from training.transfer.sources import open_parent
from trials.record import Evaluation

LEVEL = 0.9
GROWTH = 2**0.5  # of the resolution, where it alone takes twice the cost
HALVES = {"depth and width": (0.5, 0.5, 0.0), "width and resolution": (0.0, 0.5, 0.5)}
SHORT, SCRATCH, LONG = "inherited, short", "from scratch, short", "inherited, long"
MEASURES = ("accuracy", "probability", "exp(-loss)", "both means")


def main(argv: Sequence[str] | None = None) -> None:
    """A row for each way to train and each measure."""
    made = parser("benchmarks.truth.scaling_decided", __doc__ or "")
    made.add_argument("pictures", type=place)
    made.add_argument("--baseline", default="efficientnet-lite0")
    made.add_argument("--resolution", type=count, default=81, help="pixels of the baseline")
    made.add_argument("--images", type=count, default=600, help="for training, and for validation")
    made.add_argument("--seeds", type=count, default=3, help="short trainings of each network")
    made.add_argument("--long-seeds", type=count, default=2)
    made.add_argument("--epochs", type=count, default=6, help="of a long one; a short one has 2")
    add_options(made, "runs/decided")
    args = made.parse_args(argv)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    data = load(args.pictures, size=round(args.resolution * GROWTH), seed=0)
    bench = Bench(args, placed(data, args.device))
    if args.parents_only:
        print(bench.ready.digest)
        return
    found = dict(bench.trained())
    if args.share == WHOLE:
        print(table(found))


def networks(baseline: ArchSpec) -> dict[str, ArchSpec]:
    """The baseline at twice its cost, by how it got there."""
    scalable = SpecBaseline(baseline)
    target = 2.0 * scalable.macs(baseline)
    found = {name: single(scalable, name, target) for name in SINGLES}
    found["1.2, 1.1, 1.15"] = solve(scalable, PAPER, target)
    for name, split in HALVES.items():
        if (point := nearest(scalable, multipliers(split, 2.0), target)) is not None:
            found[name] = point
    return {name: point.spec for name, point in found.items()}


class Bench:
    """The trainings, of which those of ``args.share`` are made; ``data`` are on the device."""

    def __init__(self, args: argparse.Namespace, data: Data) -> None:
        self.args, self.data = args, data
        grown = data.native_size, "cpu", GROWTH, args.resolution
        self.recipe = replace(transfer_recipe(*grown), images=args.images, held_out=args.images)
        self.fresh = replace(proxy_recipe(*grown), images=args.images)
        published = open_parent(args.baseline)
        self.published = replace(
            published, spec=replace(published.spec, resolution=args.resolution)
        )

    def trained(self) -> Iterator[tuple[tuple[str, str], Any]]:
        """By way and network, what each seed's training came to, (seeds, measures)."""
        args = self.args
        seeds = {SHORT: args.seeds, SCRATCH: args.seeds, LONG: args.long_seeds}
        own = of_data(self.published, self.data).spec
        # By way first: a share has no more of the long trainings than another.
        for position, (way, (name, spec)) in enumerate(product(seeds, networks(own).items())):
            if not args.share.has(position):
                continue
            path = args.out / f"{name}, {way}.json"
            told = read(path) or []
            for seed in range(len(told), seeds[way]):
                told.append(measures(self.training(spec, way, seed)))
                write(path, told)
            print(f"{name}, {way}: {np.mean(told, 0).round(4)}", file=sys.stderr, flush=True)
            yield (way, name), np.array(told)

    def training(self, spec: ArchSpec, way: str, seed: int) -> Evaluation:
        """One, by one of the ways."""
        if way == SCRATCH:
            return train(spec, self.fresh, self.data, seed, self.args.device)
        how = self.recipe if way == SHORT else replace(self.recipe, epochs=self.args.epochs)
        return child(self.ready, spec, how, self.data, seed, self.args.device)[1]

    @cached_property
    def ready(self) -> Parent:
        """The baseline with its weights, made ready for the pictures."""
        args = self.args
        return parent_at(
            args.out / "parent.safetensors",
            args.share,
            lambda: prepared(self.published, self.recipe, self.data, 0, args.device, args.epochs),
        )


def measures(made: Evaluation) -> list[float]:
    """As ``MEASURES``."""
    arithmetic, geometric = made.details["probability"], float(np.exp(-(made.loss or 0.0)))
    return [made.accuracy, arithmetic, geometric, (arithmetic + geometric) / 2]


class Decided(NamedTuple):
    """Of so many pairs how many are decided; of these, how many have the longer trainings' sign;
    of all pairs, how many have it."""

    pairs: int
    decided: int
    agreeing: int
    alike: int


def decided(short: Sequence[Floats], long: Sequence[float]) -> Decided:
    """``short`` has a measure's values of each network by seed, (seeds,); ``long`` its mean of the
    longer trainings."""
    told = agreeing = alike = pairs = 0
    for i, j in combinations(range(len(long)), 2):
        ahead = short[i] - short[j]
        error = ahead.std(ddof=1) / len(ahead) ** 0.5
        clear = abs(ahead.mean()) > t.ppf((1 + LEVEL) / 2, len(ahead) - 1) * error
        same = np.sign(ahead.mean()) == np.sign(long[i] - long[j])
        pairs, told, alike = pairs + 1, told + clear, alike + same
        agreeing += clear and same
    return Decided(pairs, int(told), int(agreeing), int(alike))


def table(found: Mapping[tuple[str, str], Floats]) -> str:
    """Markdown."""
    names = [name for way, name in found if way == LONG]
    lines = [
        "| trainings | measure | decided pairs | of these as the longer ones | of all pairs | τ "
        "with the longer ones (90 %) |",
        "|---|---|---|---|---|---|",
    ]
    for way in (SHORT, SCRATCH):
        for column, measure in enumerate(MEASURES):
            short = [found[way, name][:, column] for name in names]
            long = [float(found[LONG, name][:, -1].mean()) for name in names]
            told = decided(short, long)
            ranked = agreement([float(one.mean()) for one in short], long)
            lines.append(
                f"| {way} | {measure} | {told.decided} of {told.pairs} | "
                f"{told.agreeing} of {told.decided} | {told.alike} | {ranked} |"
            )
    lines.append("")
    for name in names:
        each = ", ".join(
            f"{way} {100 * found[way, name][:, 0].mean():.2f} %" for way in (SHORT, SCRATCH, LONG)
        )
        lines.append(f"- {name}: {each}; longer, both means {found[LONG, name][:, -1].mean():.4f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_command(main))

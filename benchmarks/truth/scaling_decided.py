"""How many comparisons of scalings short trainings decide, and whether longer ones agree.

    python -m benchmarks.truth.scaling_decided PICTURES --seeds 3 --out runs/decided

A family's network with published weights, at few pixels, is brought to twice its cost in six ways:
depth, width and resolution alone, EfficientNet's 1.2, 1.1, 1.15, and halfway between depth and
width and between width and resolution. Each is trained shortly under the same seeds, once grown
from the baseline's weights, once from scratch, and a few times for longer from the weights, which
is what a user would do in the end. A pair is decided where the paired 90 % interval (Student's t)
of its difference over the seeds excludes 0; it is of these validation pictures. The rows are what
the difference is of: accuracy, the mean probability of the own class, exp(-loss), and the mean of
the latter two (``nas.samplers.signal``). What is finished is kept in --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import t

from benchmarks.support.rankings import Floats
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
from training.loop.train import train
from training.recipe import Recipe
from training.transfer.child import child
from training.transfer.options import transfer_recipe
from training.transfer.parent import Parent, keep, prepared
from training.transfer.sources import open_parent, read_parent
from trials.record import Evaluation

CPU = torch.device("cpu")
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
    made.add_argument("--out", type=Path, default=Path("runs/decided"))
    args = made.parse_args(argv)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    data = load(args.pictures, size=round(args.resolution * GROWTH), seed=0)
    print(table(dict(trained(args, data))))


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


def trained(args: argparse.Namespace, data: Data) -> Iterator[tuple[tuple[str, str], Any]]:
    """By way and network, what each seed's training came to, (seeds, measures)."""
    recipe = replace(
        transfer_recipe(data.native_size, "cpu", GROWTH, args.resolution),
        images=args.images, held_out=args.images,
    )  # fmt: skip
    parent = ready(args, recipe, data)
    fresh = replace(
        proxy_recipe(data.native_size, "cpu", GROWTH, args.resolution), images=args.images
    )
    for name, spec in networks(parent.spec).items():
        for way, seeds in ((SHORT, args.seeds), (SCRATCH, args.seeds), (LONG, args.long_seeds)):
            path = args.out / f"{name}, {way}.json"
            told = json.loads(path.read_text("utf-8")) if path.exists() else []
            for seed in range(len(told), seeds):
                if way == SCRATCH:
                    made = train(spec, fresh, data, seed, CPU)
                else:
                    how = recipe if way == SHORT else replace(recipe, epochs=args.epochs)
                    made = child(parent, spec, how, data, seed, CPU)[1]
                told.append(measures(made))
                path.write_text(json.dumps(told) + "\n", "utf-8")
            print(f"{name}, {way}: {np.mean(told, 0).round(4)}", file=sys.stderr, flush=True)
            yield (way, name), np.array(told)


def ready(args: argparse.Namespace, recipe: Recipe, data: Data) -> Parent:
    """The baseline with its weights, made ready for the pictures."""
    path = args.out / "parent.safetensors"
    if not path.exists():
        published = open_parent(args.baseline)
        parent = replace(published, spec=replace(published.spec, resolution=args.resolution))
        keep(prepared(parent, recipe, data, 0, CPU, args.epochs), path)
    return read_parent(path)


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

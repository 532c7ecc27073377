"""What ReXNet's three design rules are worth, one after another, in a network of two blocks.

The verification of Han et al. 2021 (arXiv:2007.00992, section 3.3): two inverted bottlenecks; the
ratio of dimensions of the first 1×1 convolution in each goes from 1/20 to 1/6, that of the blocks
from 0.22 to 0.8, ReLU6 becomes SiLU; accuracy and rank at each step. The paper does not say what
the networks cost. Here all steps have the same multiply-adds, as nearly as whole channels allow:
a step that only made the network larger would tell nothing about ranks.

``python -m benchmarks.truth.rank_factors --data cifar10`` prints the table of docs/rexnet.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from common.command import count, parser, place, run
from common.units import format_size
from models.build import build
from models.cost import cost
from models.spec import ArchSpec, StageSpec, Stem
from reports.ranks.layers import Layer, layers
from reports.ranks.rank import TOLERANCES
from training.data import Data, load
from training.loop.augment import to_float
from training.loop.train import train
from training.recipe import Recipe

SIDE = 32
DECODED = 10_000  # training pictures
BUDGET = 4e6  # multiply-adds of every step
PICTURES = 256  # of the validation split, on which ranks are measured
T90 = {2: 2.92, 3: 2.353, 4: 2.132, 5: 2.015, 6: 1.943, 7: 1.895}  # of Student's t, by freedom


class Step(NamedTuple):
    """Expansion, the blocks' ratio of dimensions, activation."""

    says: str
    expansion: float
    ratio: float
    activation: str


STEPS = (
    Step("expansion 20, blocks 0.22, ReLU6", 20, 0.22, "relu6"),
    Step("expansion 6", 6, 0.22, "relu6"),
    Step("and blocks 0.8", 6, 0.8, "relu6"),
    Step("and SiLU", 6, 0.8, "silu"),
)


def network(step: Step, last: int) -> ArchSpec:
    """The stem and two inverted bottlenecks of stride 2, the second with ``last`` channels."""
    middle = max(1, round(step.ratio * last))
    first = max(1, round(step.ratio * middle))
    blocks = tuple(StageSpec("mbconv", 1, c, 3, 2, step.expansion) for c in (middle, last))
    return ArchSpec(
        step.says, Stem(first), blocks, resolution=SIDE, classes=10, activation=step.activation
    )


def at_budget(step: Step, budget: float = BUDGET) -> ArchSpec:
    """The step's network whose multiply-adds come nearest to ``budget``."""
    made = (network(step, last) for last in range(8, 600))
    return min(made, key=lambda spec: abs(cost(spec).macs - budget))


class Found(NamedTuple):
    """Of one step: accuracies, and mean rank ratios of expansions and blocks, a training each."""

    spec: ArchSpec
    accuracy: list[float]
    expanded: list[float]
    put_out: list[float]


def measured(step: Step, data: Data, recipe: Recipe, seeds: int, tolerance: float) -> Found:
    """Train the step's network ``seeds`` times, and measure the ranks of what it has become."""
    spec = replace(at_budget(step), classes=len(data.classes), in_channels=data.channels)
    pictures = to_float(data.validation.images[:PICTURES], SIDE, data.mean, data.std)
    found = Found(spec, [], [], [])
    for seed in range(seeds):
        torch.manual_seed(seed)
        made = build(spec)
        found.accuracy.append(train(spec, recipe, data, seed, "cpu", network=made).accuracy)
        own = layers(made, pictures, (tolerance,))
        found.expanded.append(_mean(own, ".0"))
        found.put_out.append(_mean(own, ".6"))
        print(f"{step.says}, seed {seed}: {found.accuracy[-1]:.4f}", file=sys.stderr)
    return found


def _mean(own: Sequence[Layer], place: str) -> float:
    """Over the blocks' convolutions at that place: ``.0`` expands, ``.6`` projects."""
    ratios = [
        one.ratios[0] for one in own if one.name.startswith("stages") and one.name[-2:] == place
    ]
    return float(np.mean(ratios))


def interval(values: Sequence[float]) -> str:
    """Mean and the 90 % interval of it, by Student's t."""
    mean, n = float(np.mean(values)), len(values)
    half = T90[n - 1] * float(np.std(values, ddof=1)) / n**0.5
    return f"{100 * mean:.2f} ± {100 * half:.2f}"


def table(found: Sequence[Found], tolerance: float) -> str:
    """Markdown: each step, its cost, accuracy and ranks, and what it adds to the step before."""
    lines = [
        "| step | channels | FLOPs | parameters | n | accuracy, % | gain, points | rank of "
        f"expansions, % | rank of blocks, % (tolerance {tolerance:g}) |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    before: Found | None = None
    for one in found:
        price = cost(one.spec)
        widths = [one.spec.stem.channels, *(stage.widths[0] for stage in one.spec.stages)]
        gain = (
            "" if before is None else interval(np.subtract(one.accuracy, before.accuracy).tolist())
        )
        lines.append(
            f"| {one.spec.name} | {', '.join(map(str, widths))} | {format_size(price.macs)} | "
            f"{format_size(price.params)} | {len(one.accuracy)} | {interval(one.accuracy)} | "
            f"{gain} | {interval(one.expanded)} | {interval(one.put_out)} |"
        )
        before = one
    return "\n".join(lines)


def options() -> argparse.ArgumentParser:
    made = parser("benchmarks.truth.rank_factors", "ReXNet's verification of its design rules.")
    made.add_argument("--data", type=place, default="mnist")
    made.add_argument("--images", type=count, default=DECODED, help="training images, at most")
    made.add_argument("--epochs", type=count, default=5)
    made.add_argument("--seeds", type=int, default=5, choices=range(3, 9))
    made.add_argument("--tolerance", type=float, default=1e-2, choices=TOLERANCES)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Train all steps, print the table."""
    torch.set_num_threads(1)
    args = options().parse_args(argv)
    data = load(args.data, size=SIDE, images=DECODED)
    recipe = Recipe(images=args.images, held_out=2000, epochs=args.epochs, batch=32, lr=0.4)
    found = [measured(step, data, recipe, args.seeds, args.tolerance) for step in STEPS]
    print(table(found, args.tolerance))


if __name__ == "__main__":
    sys.exit(run(main))

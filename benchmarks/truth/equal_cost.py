"""How near the points of a grid come to their target, by baseline, target and depth rounding.

python -m benchmarks.truth.equal_cost
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from models.families import family
from scaling_search.points.grid import grid
from scaling_search.points.point import TOLERANCE
from scaling_search.points.scalable import SpecBaseline
from scaling_search.points.solver import FINE
from scaling_search.points.target import target_macs

BASELINES = (
    "efficientnet-b0", "mobilenet-v1", "mobilenet-v2", "resnet-18", "resnet-50", "rexnet-1.0",
    "convnext-t", "mnasnet-a1", "mnasnet-b1",
)  # fmt: skip


def row(name: str, target: str, rounding: str) -> tuple[list[str], np.ndarray]:
    """A row of the table, and the points' errors relative to the target, (points,)."""
    baseline = SpecBaseline(family(name), rounding)
    made = grid(baseline, target_macs(target, baseline))
    errors = np.array([abs(point.error) for point in made.points[1:]])
    cells = [
        name,
        target,
        rounding,
        f"{len(errors)}",
        f"{np.mean(errors <= FINE):.0%}",
        f"{100 * errors.max():.2f} %",
        f"{made.dropped}",
        f"{made.merged}",
    ]
    return cells, errors


def main(arguments: list[str] | None = None) -> int:
    """Print a Markdown table and what all points have in common."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baselines", default=",".join(BASELINES), help="(%(default)s)")
    parser.add_argument("--targets", default="2x,4x,0.5x,800M", help="(%(default)s)")
    options = parser.parse_args(arguments)
    print(
        "| baseline | target | depth rounding | points | within 1 % | largest error | left out | "
        "became another |\n" + "|---" * 8 + "|"
    )
    every, grids = [], 0
    for name in options.baselines.split(","):
        for target in options.targets.split(","):
            for rounding in ("ceil", "nearest"):
                cells, errors = row(name, target, rounding)
                print("| " + " | ".join(cells) + " |", flush=True)
                every.append(errors)
                grids += 1
    off = np.concatenate(every)
    print(
        f"\n{len(off)} points of {grids} grids: {np.mean(off <= FINE):.1%} within 1 %, "
        f"{np.mean(off <= TOLERANCE):.1%} within 3 %, mean {100 * off.mean():.2f} %"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

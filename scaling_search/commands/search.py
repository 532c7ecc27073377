"""``python -m scaling_search``: the options, and then the run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from common.command import count, hushed, parser
from scaling_search.commands.options import add_baseline
from trials.store.recalled import parsed

# As scaling_search.surface.samplers has them, which takes seconds to load; a test compares.
METHODS = ("adaptive", "grid")

DESCRIPTION = """\
Steps 2 and 3: find how a network should scale on your pictures, and make the family.

Networks of equal realised cost, from the baseline in every direction, are trained shortly; a
smooth surface through all trainings gives alpha (depth), beta (width) and gamma (resolution) with
a 90 % confidence interval. The cost is FLOPs (multiply-adds of convolution and linear layers for
one image), or with --target-latency the time that a network takes on --device, measured before
the first training.

Also: python -m scaling_search family --help, python -m scaling_search study --help"""


EVERYDAY = (
    "--target-flops", "--target-latency", "--baseline", "--trials", "--data", "--balance", "--init",
    "--device", "--workers", "--minutes", "--seed", "--out", "--resume", "--config", "--json",
    "--dry-run", "--quiet", "--help", "--help-all",
)  # fmt: skip
EXAMPLES = (
    "--target-flops 2x --baseline runs/nas-100M-pictures",
    "--target-latency 2x --baseline efficientnet-b0 --data ~/pictures",
    "family --coefficients runs/scaling-…/coefficients.json --baseline runs/nas-… --phi 0,1,2",
)


def options() -> argparse.ArgumentParser:
    """The search's options."""
    from training.options import add_options, add_output

    made = parser("scaling_search", DESCRIPTION, EVERYDAY, EXAMPLES)
    goal = made.add_argument_group("what is searched")
    target = goal.add_mutually_exclusive_group()
    target.add_argument("--target-flops", help="a multiple (2x, 0.5x) or size (800M); default: 2x")
    target.add_argument(
        "--target-latency",
        help="in place of FLOPs, for one batch on --device: "
        "12ms, 0.5s, or a multiple of the baseline's own (2x)",
    )
    goal.add_argument("--latency-batch", type=count, default=1, help="images at once")
    goal.add_argument("--latency-threads", type=count, default=1, help="on a CPU")
    add_baseline(goal)
    goal.add_argument("--trials", type=count, default=40, help="trainings in all")
    goal.add_argument(
        "--method",
        default="adaptive",
        choices=METHODS,
        help="adaptive: train where it tells most; grid: every point with equal repeats",
    )
    goal.add_argument("--step", type=float, default=0.1, help="of the grid, in shares of the cost")
    goal.add_argument(
        "--region",
        type=float,
        help="stop when the 90 %% region is at most this part of all ways to scale",
    )
    add_options(made)
    add_output(made)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Search, write the run directory's files, print what was found and where."""
    args = parsed(options(), argv)
    from scaling_search.commands.go import go  # takes seconds to load, which --help need not

    with hushed(args.quiet):
        go(args)

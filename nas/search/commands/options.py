"""The options of ``python -m nas.search``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from common.command import count, parser, place
from nas.costing import COSTS, LATENCY
from nas.objective import AIMS
from nas.space import SPACES

LIMITED = {"params": "5M", "activations": "8M", LATENCY: "12ms"}  # with an example of each
# As nas.samplers, nas.costing.latency and nas.search.rivals have them, which take seconds to load;
# a test compares.
NAMES = ("auto", "tpe", "gp", "nsga2", "nsga3", "random", "evolution", "controller")
SAMPLE = 32
USUAL, FEWEST_TRIALS = ("efficientnet-b0", "mobilenet-v2"), 16

DESCRIPTION = """\
Step 1: find a baseline network for your pictures.

Networks of a MnasNet-like space are trained shortly and ranked by ACC*(FLOPS/T)^w. FLOPs are
multiply-adds of convolution and linear layers for one image at --resolution. T (--budget) is only
a constant factor in that reward and changes no ranking; it acts through the window of costs,
--low*T to --high*T, outside of which nothing is trained.

With --cost latency the budget is a time, such as 12ms, for one batch on --latency-device. Some
dozen networks are measured before the first training, and from then on each network before it is
trained: none is, whose measured latency lies outside the window."""


EVERYDAY = (
    "--budget", "--cost", "--trials", "--resolution", "--data", "--init", "--device", "--minutes",
    "--out", "--resume", "--json", "--dry-run", "--quiet", "--help", "--help-all",
)  # fmt: skip
EXAMPLES = (
    "--data ~/pictures --budget 100M",
    "--data ~/pictures --budget 12ms --cost latency",
    "--data ~/pictures --budget 100M --dry-run",
    "--resume --out runs/nas-100M-pictures",
)


def options() -> argparse.ArgumentParser:
    """The command's options."""
    from training.options import add_options, add_output
    from training.options.flags import ZERO_COST

    made = parser("nas.search", DESCRIPTION, EVERYDAY, EXAMPLES)
    goal = made.add_argument_group("what is searched")
    goal.add_argument(
        "--budget",
        default="400M",
        help="T, such as 400M or 1.5G; with --cost latency a time, such as 12ms",
    )
    goal.add_argument("--space", default="mnasnet", choices=SPACES)
    goal.add_argument(
        "--aim",
        default="reward",
        choices=AIMS,
        help="reward: ACC*(COST/T)^w; hard: ACC*min(1, T/COST); front: the Pareto front itself",
    )
    goal.add_argument("--cost", default="macs", choices=(*COSTS, LATENCY))
    goal.add_argument("--w", type=float, default=-0.07, help="the reward's exponent")
    goal.add_argument("--over", type=float, help="another exponent above T (default: the same)")
    goal.add_argument("--low", type=float, default=0.5, help="least cost trained, as a share of T")
    goal.add_argument("--high", type=float, default=1.0, help="greatest cost, as a share of T")
    add_limits(goal)
    goal.add_argument("--sampler", default="auto", choices=NAMES)
    goal.add_argument(
        "--trust",
        type=float,
        help="in (0, 1]: so many parts of what auto names by are its evidence, the rest what the "
        "prior, or parameters alone, foretell; default: only what the evidence says of either",
    )
    goal.add_argument(
        "--stop-early",
        action=argparse.BooleanOptionalAction,
        help="stop trainings on whose way it shows that they will lose; of networks that inherit "
        "weights: do not train those that untrained are too bad to win, which is the default there",
    )
    goal.add_argument("--trials", type=count, default=30, help="networks to train")
    goal.add_argument(
        "--resolution",
        type=sides,
        metavar="PIXELS[,PIXELS…]",
        help="pixels FLOPs are counted at; several: each network's own is searched among them; "
        "default: those at which the parent of inherited weights costs about the budget (sides of "
        "16n+1, such as 97, suit published weights), else the space's own, 224 or (macro) 32",
    )
    goal.add_argument(
        "--prior",
        type=place,
        metavar="none|imagenet|RUN|CSV",
        help="what is known beforehand: what ImageNet taught, an earlier run or a table of "
        "accuracies; it counts as far as trainings bear it out; default: imagenet for pictures in "
        "colour, else none",
    )
    goal.add_argument(
        "--against",
        type=known,
        metavar="NAME[,NAME…]|none",
        help="known networks to compare the chosen one with, trained alike; they and it take some "
        "of --trials and --minutes; default: the parent where weights are inherited, else "
        f"{','.join(USUAL)}; none where --trials is under {FEWEST_TRIALS}",
    )
    goal.add_argument(
        "--scores",
        metavar="NAME,…|none",
        help="scores of untrained networks by which sampler auto also learns, as far as trainings "
        f"bear them out, seconds a network: {', '.join(ZERO_COST)}; default: none",
    )
    goal.add_argument(
        "--calibrate",
        type=count,
        metavar="K",
        help="afterwards train K of the "
        "networks again, and longer, and report how the rankings agree",
    )
    goal.add_argument("--longer", type=count, default=4, help="times the epochs, with --calibrate")
    add_clock(made.add_argument_group("latency", "with --cost latency or --max-latency"))
    add_options(made)
    add_output(made)
    return made


def add_limits(goal: argparse._ArgumentGroup, kinds: Sequence[str] = tuple(LIMITED)) -> None:
    """The greatest cost of other kinds than the budget's."""
    for kind in kinds:
        goal.add_argument(
            f"--max-{kind}",
            metavar="LIMIT",
            help=f"{kind}, such as {LIMITED[kind]}: nothing of more is trained, in any budget",
        )


def add_clock(clock: argparse._ArgumentGroup) -> None:
    """How latencies are measured."""
    clock.add_argument(
        "--latency-device",
        default="cpu",
        help="cpu, cuda, cuda:1, mps; best one on which nothing is trained",
    )
    clock.add_argument("--latency-batch", type=count, default=1, help="images at once")
    clock.add_argument("--latency-threads", type=count, default=1, help="on a CPU")
    clock.add_argument(
        "--latency-sample",
        type=count,
        default=SAMPLE,
        help="networks that are measured before the first training",
    )


def known(text: str) -> tuple[str, ...]:
    """``efficientnet-b0,resnet-18`` as names; ``none`` and nothing as no name."""
    return tuple(name.strip() for name in text.split(",")) if text not in ("none", "") else ()


def sides(text: str) -> tuple[int, ...]:
    """``97,113`` as numbers of pixels."""
    return tuple(count(part) for part in text.split(","))

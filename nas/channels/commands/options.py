"""The options of ``python -m nas.channels``."""

from __future__ import annotations

import argparse

from common.command import count, parser, place
from nas.costing import LATENCY
from nas.search.commands.options import NAMES, add_clock, add_limits

REPEATS = 3  # trainings a network, as in the paper
DESCRIPTION = """\
How should a network's channels grow from block to block?

ReXNet's search: the network's channels c_i = a*f(i) + b, f piecewise linear, are chosen for the
greatest accuracy under limits of FLOPs and parameters; nothing else of it changes. FLOPs are
multiply-adds of convolution and linear layers for one image at --resolution. Several limits are
several searches: --flops 100M 200M --params 2M 3M. Each network is trained --repeats times; the
accuracies are averaged.

At the end of each search the largest network on a line and the largest by EfficientNet-B0's stages
that obey the limits are trained --compare times each, and the page says whether one is better."""

EVERYDAY = (
    "--flops", "--params", "--around", "--depth", "--trials", "--compare", "--data", "--device",
    "--workers", "--minutes", "--seed", "--out", "--resume", "--config", "--quiet", "--help",
    "--help-all",
)  # fmt: skip
EXAMPLES = (
    "--data cifar10 --flops 200M 400M --params 5M",
    "--data ~/pictures --around mobilenet-v2",
)


def options() -> argparse.ArgumentParser:
    """The command's options."""
    from training.options import add_options

    made = parser("nas.channels", DESCRIPTION, EVERYDAY, EXAMPLES)
    goal = made.add_argument_group("what is searched")
    goal.add_argument("--flops", nargs="+", default=["400M"], metavar="F", help="limits of FLOPs")
    goal.add_argument("--params", nargs="+", default=["5M"], metavar="P", help="of parameters")
    add_limits(goal, ("activations", LATENCY))
    goal.add_argument("--low", type=float, default=0.8, help="least FLOPs, as a share of the limit")
    goal.add_argument(
        "--around",
        type=place,
        default="rexnet-1.0",
        help="the network whose channels are searched: a family, a spec file or a run; ReXNet's "
        "and MobileNetV2's blocks can be",
    )
    goal.add_argument("--depth", type=count, help="blocks in all; default: the network's own")
    goal.add_argument("--sampler", default="auto", choices=NAMES)
    goal.add_argument("--trials", type=count, default=30, help="networks to train, each setting")
    goal.add_argument("--repeats", type=count, default=REPEATS, help="trainings a network")
    goal.add_argument(
        "--stop-early", action="store_true", help="do not repeat a training that will lose: stop it"
    )
    goal.add_argument(
        "--compare", type=int, default=6, help="trainings of either convention, each setting"
    )
    goal.add_argument("--resolution", type=count, help="pixels FLOPs are counted at; default: 224")
    add_clock(made.add_argument_group("latency", "with --max-latency"))
    add_options(made)
    made.set_defaults(init="scratch")
    return made

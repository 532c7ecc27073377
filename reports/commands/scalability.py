"""``python -m reports scalability``: ReXNet beside EfficientNet at equal realised cost."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from common.command import count, parser, path
from models.families import EFFICIENTNET_MULTIPLIERS
from nas.costing import COSTS, LATENCY

MEMBERS = tuple(EFFICIENTNET_MULTIPLIERS)
DESCRIPTION = """\
ReXNet beside EfficientNet: for each EfficientNet the ReXNet width of equal multiply-adds, of equal
parameters and of equal activations, with the published accuracies.

Latencies take minutes and are measured where they are asked for: with --latency those of all
networks of the table, with --at latency to find the ReXNet of equal latency. Each is timed in turn
with the EfficientNet that it is compared with."""


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("reports scalability", DESCRIPTION)
    kinds = (*COSTS, LATENCY)
    made.add_argument(
        "--at", nargs="+", choices=kinds, default=COSTS,
        help="what is to be equal; default: each kind of cost that is counted",
    )  # fmt: skip
    made.add_argument("--latency", action="store_true", help="measure the table's networks")
    made.add_argument("--members", nargs="+", choices=MEMBERS, default=MEMBERS[:4])
    made.add_argument("--latency-device", default="cpu", help="cpu, cuda, cuda:1, mps")
    made.add_argument("--latency-batch", type=count, default=1, help="images at once")
    made.add_argument("--latency-threads", type=count, default=1, help="on a CPU")
    made.add_argument("--out", type=path, help="directory for scalability.csv and pictures")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table; write it and the pictures where asked."""
    args = options().parse_args(argv)
    from reports.commands.scalability_go import go  # takes seconds to load, which --help need not

    go(args)

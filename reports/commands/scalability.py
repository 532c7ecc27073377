"""``python -m reports scalability``: ReXNet beside EfficientNet at equal realised cost."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence

import optuna
from tqdm import tqdm

from common.command import count, parser, path
from common.paths import check_directory
from models.families import family
from nas.costing import COSTS, LATENCY
from reports.scalability import MEMBERS, Timed, figure, markdown, matches, table
from training.stopwatch import Stopwatch
from trials.latencies import Paired

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
    if args.out:
        check_directory(args.out)
    timed = functools.cache(functools.partial(_timed, args))
    watch = functools.partial(tqdm, file=sys.stderr, leave=False, disable=None, unit="match")
    made = matches(args.members, args.at, timed, args.latency)
    found = list(watch(made, total=len(args.members) * len(args.at)))
    print(markdown(found))
    if args.latency or LATENCY in args.at:
        clock = Stopwatch(args.latency_device, args.latency_batch, args.latency_threads)
        print(f"\nLatencies: {clock.measured_on}")
    if args.out:
        table(found).to_csv(args.out / "scalability.csv", index=False)
        for picture in figure(args.out):
            print(picture, file=sys.stderr)


def _timed(args: argparse.Namespace, member: str) -> Timed:
    """What measures networks in turn with ``member``; each network once."""
    clock = Stopwatch(args.latency_device, args.latency_batch, args.latency_threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces each new study
    return Paired(optuna.create_study(), family(member), clock, clock.measured_on).read

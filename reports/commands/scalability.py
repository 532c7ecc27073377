"""``python -m reports scalability``: ReXNet beside EfficientNet at equal realised cost."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence

import optuna
from tqdm import tqdm

from common.command import count, parser, path
from common.paths import check_directory
from models.families import family
from models.spec import ArchSpec
from nas.costing import COSTS, LATENCY
from reports.scalability import MEMBERS, figure, markdown, matches, table
from training.stopwatch import Stopwatch
from trials.latencies import Paired

DESCRIPTION = """\
ReXNet beside EfficientNet: for each EfficientNet the ReXNet width of equal multiply-adds, of equal
parameters, of equal activations and of equal measured latency, with the published accuracies.

Latencies are measured here, each network's in turn with the EfficientNet that it is compared with;
--at macs params activations leaves them out."""


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("reports scalability", DESCRIPTION)
    kinds = (*COSTS, LATENCY)
    made.add_argument("--at", nargs="+", choices=kinds, default=kinds, help="what is to be equal")
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
    timed = functools.partial(_timed, args)
    watch = functools.partial(tqdm, file=sys.stderr, leave=False, disable=None, unit="match")
    found = list(
        watch(matches(args.members, args.at, timed), total=len(args.members) * len(args.at))
    )
    print(markdown(found))
    if LATENCY in args.at:
        clock = Stopwatch(args.latency_device, args.latency_batch, args.latency_threads)
        print(f"\nLatencies: {clock.measured_on}")
    if args.out:
        table(found).to_csv(args.out / "scalability.csv", index=False)
        for picture in figure(args.out):
            print(picture, file=sys.stderr)


def _timed(args: argparse.Namespace, member: str) -> Callable[[ArchSpec], float]:
    """Seconds of a network, timed in turn with ``member``; each network once."""
    clock = Stopwatch(args.latency_device, args.latency_batch, args.latency_threads)
    readings = Paired(optuna.create_study(), family(member), clock, clock.measured_on)
    return lambda spec: readings.read(spec).median

"""The run of ``python -m reports scalability``."""

from __future__ import annotations

import argparse
import functools
import sys

import optuna

from common.bars import tqdm
from common.paths import check_directory
from models.families import family
from nas.costing import LATENCY
from reports.scalability import Timed, figure, markdown, matches, table
from training.stopwatch import Stopwatch
from trials.latencies import Paired


def go(args: argparse.Namespace) -> None:
    """Print the table; write it and the pictures where asked."""
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

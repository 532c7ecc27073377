"""What the command's networks cost, and what they may."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from common.bars import tqdm
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.costing import LATENCY, read_cost
from nas.costing.latency import Latency
from nas.objective import Objective
from nas.search.commands.options import LIMITED
from nas.space import Space

if TYPE_CHECKING:
    from training.data import Data

Searched = TypeVar("Searched", bound=Space)


def limits_of(args: argparse.Namespace) -> dict[str, float]:
    """What --max-… say, by kind of cost. Raises ValueError for what is no cost."""
    given = {kind: getattr(args, f"max_{kind}", None) for kind in LIMITED}
    return {kind: read_cost(kind, text) for kind, text in given.items() if text is not None}


def clocked(args: argparse.Namespace, kind: str) -> str | Latency:
    """A kind of cost as a search takes it: latency with its clock."""
    if kind != LATENCY:
        return kind
    from training.stopwatch import Stopwatch

    clock = Stopwatch(args.latency_device, args.latency_batch, args.latency_threads)
    print(f"{args.latency_sample} networks are measured before the first training", file=sys.stderr)
    watch = functools.partial(tqdm, desc="latencies", unit="network", disable=None, leave=False)
    return Latency(clock, clock.measured_on, args.latency_sample, watch=watch)


def for_pictures(data: Data, searched: Searched) -> Searched:
    """The space of networks for these pictures: of their classes and channels."""
    return searched.with_template(classes=len(data.classes), in_channels=data.channels)


def largest_of(
    args: argparse.Namespace, searched: Space, aim: Objective
) -> Iterator[ArchSpec] | None:
    """The networks of the window that ask most of memory; None where they must be measured.

    Each is sought only when it is asked for: a run that goes on has its recipe already.
    """
    if LATENCY in (args.cost, *(aim.limits or ())):
        return None
    inside = Candidates(searched, aim, args.cost)
    return (inside.greatest(field) for field in ("params", "activations"))

"""What a run would take, measured and not begun: --dry-run."""

from __future__ import annotations

import argparse
import math
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import NamedTuple

import torch

from common.host_load import others
from common.host_memory import gigabytes
from common.units import format_duration, format_size
from models.cost import cost
from models.spec import ArchSpec
from training.data import Data
from training.device import kind_of
from training.evaluator import Evaluator
from training.loop.train import first
from training.options import sizing
from training.options.sizing import machines, speed, speed_of
from training.recipe import Recipe
from training.transfer import own
from training.transfer.options import times_as_long
from trials.latencies import Reading
from trials.workers.environment import (
    child_environment,
    cores,
    device_variables,
    thread_variables,
)

_QUIET = 0.1  # of all cores: so much is a desktop's own


class Taken(NamedTuple):
    """By one training in a process of its own: seconds, and bytes of the host's or the device's
    memory at its most.

    step     seconds of a step, where several were timed
    others   cores that other processes kept busy meanwhile; None where that is not known
    """

    seconds: float
    bytes: int
    step: Reading | None = None
    others: float | None = None


def rehearsed(
    args: argparse.Namespace,
    evaluator: Evaluator,
    dearest: ArchSpec,
    trials: int,
    beside: int = 0,
    finals: Sequence[int] = (),
) -> str:
    """What would be trained, and the minutes and memory that this takes at most, by a warm-up of
    the network that costs most.

    ``beside`` trainings compare the answer with others. Of what inherits these are as long as those
    of the ``finals``, so many in each round (``training.transfer.options``). Raises ValueError on a
    Ray cluster, whose nodes are other machines.
    """
    if args.executor == "ray":
        raise ValueError("--dry-run measures this machine: leave --executor ray out")
    where = machines(args.device, args.workers, evaluator.recipe)
    device = "cpu" if where.devices is None else where.devices[0]
    found = measured(evaluator, dearest, device, where.workers)
    recipe, more = evaluator.recipe, f" and {beside} trainings to compare" if beside else ""
    longer = 1.0 if evaluator.parent is None else times_as_long(recipe)
    rounds: float = math.ceil(trials / where.workers)
    rounds += longer * sum(math.ceil(count / where.workers) for count in (beside, *finals))
    if finals:
        more += f" and {sum(finals)} of the best further"
    before = "" if evaluator.parent is None else " after the parent's own training"
    if evaluator.parent is not None and evaluator.parent.own:
        before += f", about {_raising(args, evaluator, device) / 60:.1f} minutes"
    each = f"{recipe.epochs} epochs" if recipe.epochs else "scored by inherited weights"
    limit = f"; none begins after {args.minutes:g} minutes" if args.minutes else ""
    return "\n".join(
        [
            f"would train {trials} networks{more}, {where.workers} at once on "
            f"{kind_of(evaluator.device)}, {each} at {recipe.side(dearest)} pixels",
            f"one of {format_size(cost(dearest).macs)} multiply-adds takes about "
            f"{format_duration(found.seconds)} and {gigabytes(found.bytes)} "
            f"(measured{_scatter(found.step)})",
            f"in all at most about {rounds * found.seconds / 60:.1f} minutes and "
            f"{gigabytes(where.workers * found.bytes)}{before}{limit}",
            *_busy(found.others),
            "nothing was trained to its end, and nothing is kept",
        ]
    )


def _raising(args: argparse.Namespace, evaluator: Evaluator, device: str) -> float:
    """The seconds that the search's own parent will be trained for, by the speed of some steps."""
    parent, data = evaluator.parent, evaluator.source.data()
    if parent is None:
        raise ValueError("trainings from scratch have no parent")
    longer = own.raising(evaluator.recipe, evaluator.device, len(data.train), args.parent_epochs)
    found = sizing.measured(replace(evaluator, recipe=longer), parent.spec, device)
    images = len(first(data.train, longer.images))
    seconds = found.before + longer.epochs * images / found.images_per_second
    allowed = 60 * own.SHARE * args.minutes if args.minutes and not args.parent_epochs else math.inf
    return min(seconds, allowed)


def _scatter(step: Reading | None) -> str:
    """How far the steps that were timed lie apart; empty where they were not timed one by one."""
    if step is None:
        return ""
    low, high = (100 * (bound / step.median - 1) for bound in (step.low, step.high))
    return f"; quartiles of its steps {low:+.0f} to {high:+.0f} % of their median"


def _busy(others: float | None) -> list[str]:
    """A line where others took enough of the machine to spoil the estimate."""
    if others is None or others < _QUIET * cores():
        return []
    return [
        f"the machine is busy: meanwhile other processes kept {others:.1f} of {cores()} cores at "
        "work, so this is of a slower machine than a quiet one; ask again when they are done"
    ]


def rehearsed_alone(
    spec: ArchSpec, recipe: Recipe, data: Data, place: torch.device, workers: int
) -> str:
    """What one training would take, by the speed of some of its steps in this process."""
    with others() as load:
        found = speed_of(spec, recipe, data, place, workers=workers)
    images = len(first(data.train, recipe.images))
    seconds = found.before + recipe.epochs * images / found.images_per_second
    side = recipe.side(spec)
    return "\n".join(
        [
            f"would train {spec.name} ({format_size(cost(spec).macs)} multiply-adds) for "
            f"{recipe.epochs} epochs of {images:,} pictures at {side} pixels on {place}",
            f"at most about {format_duration(seconds)} ({found.images_per_second:,.0f} pictures a "
            f"second, measured{_scatter(found.step)}) and {gigabytes(_most_bytes())}, without the "
            "test split's",
            *_busy(None if workers else load.cores),  # what prepares pictures is no other's
            "nothing was trained to its end, and nothing is kept",
        ]
    )


def measured(evaluator: Evaluator, spec: ArchSpec, device: str, workers: int) -> Taken:
    """``taken`` in a process with the environment of one of so many workers."""
    variables = {**thread_variables(max(1, cores() // workers)), **device_variables(device)}
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with child_environment(variables):
            found = pool.submit(taken, evaluator, spec)
        return found.result()


def taken(evaluator: Evaluator, spec: ArchSpec) -> Taken:
    """By a training of ``spec``'s proxy twin, from the speed of some of its steps; of inherited
    weights, which are scored without a training, by the whole of it."""
    recipe, data = evaluator.recipe, evaluator.source.data()
    if recipe.epochs:
        with others() as load:
            found = speed(evaluator, spec)
        step: Reading | None = found.step
        images = len(first(data.train, recipe.images)) * recipe.epochs
        seconds = found.before + images / found.images_per_second
    else:
        step, begun = None, time.perf_counter()
        with others() as load:
            evaluator(spec, 0)
        seconds = time.perf_counter() - begun
    return Taken(seconds, _most_bytes(), step, load.cores)


def _most_bytes() -> int:
    """Of the device's memory that this process has had, where that is a GPU, else of the host's."""
    if torch.cuda.is_available() and torch.cuda.max_memory_reserved():
        return torch.cuda.max_memory_reserved()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most  # bytes there

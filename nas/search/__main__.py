"""``python -m nas.search``: the run, and what is written at its end."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from common.command import run, when_stopped
from models.cost import cost
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.costing import LATENCY, cost_text, read_cost
from nas.costing.latency import Latency
from nas.objective import Objective
from nas.prior import load_prior
from nas.search import search
from nas.search.commands.further import against_of, calibrate, compared, finals_of
from nas.search.commands.options import options
from nas.search.ending import summary
from nas.space import Space, sides_about, space
from trials.caution import cautions, closing
from trials.progress import Progress

if TYPE_CHECKING:
    from training.transfer.parent import Parent


def main(argv: Sequence[str] | None = None) -> None:
    """Search, draw the report, print what was found and where; then calibrate, where asked to."""
    from reports.nas import report
    from training.given import next_command, pictures_name, settle_pictures
    from training.options import (
        executor,
        facts,
        inherited_from,
        prepare,
        resumed,
        run_directory,
    )
    from training.recalled import kept, parsed
    from training.transfer.child import keep_answer
    from training.transfer.options import at_home, here, trained_further
    from training.transfer.parent import alike
    from training.transfer.sources import BASELINE
    from training.variation import as_options

    args = parsed(options(), argv)
    settle_pictures(args)
    budget, counted = read_cost(args.cost, args.budget), _cost(args)
    asked = cost_text(args.cost, budget).replace(" ", "")
    run_dir = run_directory(args, f"nas-{asked}-{pictures_name(args.data)}")
    aim = Objective(budget, args.aim, args.w, args.over, args.low, args.high)
    named = space(args.space)
    drawn = named.random(4, np.random.default_rng(0))
    parent = inherited_from(
        args, run_dir, examples=[named.spec_of(row) for row in drawn], follow=True
    )
    if parent is not None and args.stop_early:
        raise ValueError("--stop-early is for trainings from scratch: add --init scratch")
    named = named.at(_resolutions(args, named, parent, resumed(args, run_dir), budget))
    if parent is not None:
        parent = replace(parent, spec=_within(parent.spec, named, budget))
    evaluator, data = prepare(
        args,
        parent=parent,
        reference=named.template.resolution,
        own=at_home((named.template.resolution,), args.device),
        largest=None if args.cost == LATENCY else _largest(named, aim, args.cost),
        run_dir=run_dir,
    )
    like = {} if evaluator.parent is None else alike(evaluator.parent.spec)
    searched = named.with_template(classes=len(data.classes), in_channels=data.channels, **like)
    plan = compared(args, searched.template, aim, counted)
    own = args.trials - plan.trainings
    print(f"run directory: {run_dir}", file=sys.stderr)
    settings = {**facts(args.data, data, evaluator), "options": kept(args)}
    prior = load_prior(args.prior, searched) if args.prior else None
    with when_stopped(f"stopped; finished trainings are kept in {run_dir}: go on with --resume"):
        found = search(
            searched,
            evaluator,
            budget,
            own,
            args.sampler,
            args.aim,
            counted,
            args.seed,
            run_dir,
            args.resume,
            w=args.w,
            over=args.over,
            low=args.low,
            high=args.high,
            executor=lambda: executor(args, evaluator),
            storage=args.storage,
            join=args.join,
            minutes=args.minutes and args.minutes * own / args.trials,
            settings=settings,
            progress=Progress,
            prior=prior,
            trust=args.trust,
            stop_early=args.stop_early,
            near=_members(searched, evaluator.parent),
            finals=finals_of(args, evaluator, run_dir),
            against=against_of(args, plan, evaluator, run_dir),
        )
        if evaluator.parent is not None:
            keep_answer(
                evaluator.parent,
                found.best.spec,
                trained_further(evaluator.recipe),
                data,
                here(args),
                run_dir / BASELINE,
            )
    # The answer stands whatever becomes of the calibration.
    with when_stopped(f"stopped; the search's answer is in {run_dir}: go on with --resume"):
        report(run_dir, args.storage)
        further = next_command(
            "scaling_search", "--target-flops", "2x", "--baseline", run_dir,
            *as_options(evaluator.recipe), data=args.data,
        )  # fmt: skip
        told = cautions(settings, found.evaluations)
        print(closing(told, summary(found, aim, run_dir, args.cost), further), flush=True)
        if args.calibrate:
            calibrate(found, args, evaluator, run_dir)
            report(run_dir, args.storage)


def _resolutions(
    args: argparse.Namespace,
    named: Space,
    parent: Parent | None,
    settings: Mapping[str, Any],
    budget: float,
) -> Sequence[int]:
    """The pixels that networks may have, by --resolution or by default; ``settings`` are those of
    a run that is gone on with."""
    from training.transfer.options import at_home

    usual = (named.template.resolution,)
    if args.resolution:
        return tuple(args.resolution)
    if settings:
        return settings.get("resolutions") or usual
    if parent is None or args.cost != "macs":
        return usual
    found = sides_about(parent.spec, budget)
    if not found or not at_home(found, args.device):
        return usual
    said = ", ".join(str(side) for side in found)
    print(f"resolution is searched: {said} pixels; --resolution for others", file=sys.stderr)
    return found


def _within(spec: ArchSpec, named: Space, budget: float) -> ArchSpec:
    """``spec`` at the highest resolution of the space that the budget allows, or at its lowest."""
    at = [replace(spec, resolution=side) for side in _pixels(named)]
    return next((one for one in reversed(at) if cost(one).macs <= budget), at[0])


def _pixels(named: Space) -> tuple[int, ...]:
    return named.resolutions or (named.template.resolution,)


def _largest(searched: Space, aim: Objective, kind: str) -> Iterator[ArchSpec]:
    """The networks of the window that ask most of memory, where their cost need not be measured.

    Each is sought only when it is asked for: a run that goes on has its recipe already.
    """
    inside = Candidates(searched, aim, kind)
    return (inside.greatest(field) for field in ("params", "activations"))


def _members(searched: Space, parent: Parent | None) -> list[ArchSpec]:
    """The space's networks that have the parent's stages; that with its resolution first."""
    if parent is None:
        return []
    made = [
        replace(searched.template, stages=parent.spec.stages, resolution=side)
        for side in sorted(_pixels(searched), key=lambda side: side != parent.spec.resolution)
    ]
    return [one for one in made if searched.contains(one)]


def _cost(args: argparse.Namespace) -> str | Latency:
    if args.cost != LATENCY:
        return str(args.cost)
    from training.stopwatch import Stopwatch

    clock = Stopwatch(args.latency_device, args.latency_batch, args.latency_threads)
    print(f"{args.latency_sample} networks are measured before the first training", file=sys.stderr)
    watch = functools.partial(tqdm, desc="latencies", unit="network", disable=None, leave=False)
    return Latency(clock, clock.measured_on, args.latency_sample, watch=watch)


if __name__ == "__main__":
    sys.exit(run(main))

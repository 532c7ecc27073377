"""The run of ``python -m nas.search``, and what is written at its end."""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.command import file_name, when_stopped
from nas.costing import read_cost
from nas.finals import ROUNDS
from nas.objective import Objective
from nas.result import SearchResult
from nas.search import search
from nas.search.commands.costs import clocked, for_pictures, largest_of, limits_of
from nas.search.commands.further import against_of, calibrate, compared, finals_of, minutes_of
from nas.search.commands.known import known_before
from nas.search.commands.resolutions import known_members, raised, resolutions, within
from nas.search.commands.scores import scores_of
from nas.search.commands.stopping import stops
from nas.search.ending import as_json, summary
from nas.search.rivals import families
from nas.space import Space, space
from nas.stopping import BEFORE, RUNGS
from trials.caution import cautions, closing, closing_json
from trials.progress import Progress
from trials.store.recalled import kept
from trials.store.study import not_dead

if TYPE_CHECKING:
    from training.data import Data
    from training.evaluator import Evaluator


def go(args: argparse.Namespace) -> None:
    """Search, draw the report, print what was found and where; then calibrate, where asked to."""
    from training.given import pictures_name, settle_pictures
    from training.options import search_directory

    families(args.against or ())  # what is no network is told before any is trained
    settle_pictures(args)
    budget = read_cost(args.cost, args.budget)
    aim = Objective(budget, args.aim, args.w, args.over, args.low, args.high, limits_of(args))
    asked = file_name(args.budget)
    run_dir = search_directory(args, f"nas-{asked}-{pictures_name(args.data)}")
    with not_dead(run_dir):
        _search(args, aim, run_dir)


def _search(args: argparse.Namespace, aim: Objective, run_dir: Path) -> None:
    from training.options import executor, facts, measured, resumed
    from training.options.logs import choices, logged
    from training.options.rehearsal import rehearsed
    from training.transfer.child import is_kept, keep_answer
    from training.transfer.options import trained_further
    from training.transfer.parent import alike
    from training.transfer.ready import here
    from training.transfer.sources import BASELINE

    begun = time.monotonic()
    counted = clocked(args, args.cost)
    limits = [(clocked(args, kind), most) for kind, most in limits_of(args).items()]
    before = resumed(args, run_dir)
    named, evaluator, data = _prepared(args, aim, run_dir, before)
    like = {} if evaluator.parent is None else alike(evaluator.parent.spec)
    searched = for_pictures(data, named).with_template(**like)
    plan = compared(args, searched, evaluator.parent, aim, counted, limits)
    own = args.trials - plan.trainings
    if args.dry_run:
        dearest = next(largest_of(args, searched, aim) or iter([searched.template]))
        rounds = () if evaluator.parent is None else tuple(min(own, count) for count in ROUNDS)
        print(rehearsed(args, evaluator, dearest, own, plan.trainings, rounds))
        return
    print(f"run directory: {run_dir}", file=sys.stderr)
    if evaluator.parent is not None:
        best = sum(min(own, count) for count in ROUNDS)
        print(f"{own} networks, then {best} further trainings of the best of them", file=sys.stderr)
    stopping = stops(args, evaluator, before)
    settings = {**facts(args.data, data, evaluator), "options": kept(args)}
    minutes = minutes_of(args, evaluator, own, plan, begun)
    prior = known_before(args, searched, data, before, aim)
    with (
        when_stopped(f"stopped; finished trainings are kept in {run_dir}: go on with --resume"),
        measured(args, run_dir, args.resume),
    ):
        found = search(
            searched,
            evaluator,
            aim.budget,
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
            limits=limits,
            executor=lambda: executor(args, evaluator),
            storage=args.storage,
            join=args.join,
            minutes=minutes.of("trials"),
            settings=settings,
            progress=logged(args.log, Progress, choices),
            prior=prior,
            trust=args.trust,
            stop_early=stopping,
            rungs=RUNGS if evaluator.parent is None else BEFORE,
            near=known_members(searched, evaluator.parent, args.cost, aim),
            scores=scores_of(args, data, before),
            finals=finals_of(args, evaluator, run_dir, minutes),
            against=against_of(args, plan, evaluator, run_dir, minutes),
        )
        if evaluator.parent is not None and not is_kept(found.best.spec, run_dir / BASELINE):
            keep_answer(
                evaluator.parent,
                found.best.spec,
                trained_further(evaluator.recipe),
                data,
                here(args),
                run_dir / BASELINE,
            )
    _end(found, args, aim, evaluator, settings, data, run_dir)


def _prepared(
    args: argparse.Namespace, aim: Objective, run_dir: Path, before: Mapping[str, Any]
) -> tuple[Space, Evaluator, Data]:
    """The space at its pixels, what evaluates its networks, and the pictures; ``before`` are the
    settings of a run that is gone on with."""
    from training.options import inherited_from, prepare
    from training.recipe import total_stride
    from training.transfer.options import at_home

    named = space(args.space)
    drawn = [named.spec_of(row) for row in named.random(4, np.random.default_rng(0))]
    own = functools.partial(raised, named, args.cost, aim)
    scratch = args.stop_early and args.init is None
    parent = inherited_from(
        args, run_dir, examples=drawn, follow=True, raised=None if scratch else own
    )
    named = named.at(resolutions(args, named, parent, before, aim.budget))
    if parent is not None:
        parent = replace(parent, spec=within(parent.spec, named, aim.budget))
    evaluator, data = prepare(
        args,
        parent=parent,
        reference=named.template.resolution,
        stride=max(map(total_stride, drawn)),
        own=at_home((named.template.resolution,), args.device),
        largest=lambda data: largest_of(args, for_pictures(data, named), aim),
        run_dir=run_dir,
    )
    return named, evaluator, data


def _end(
    found: SearchResult,
    args: argparse.Namespace,
    aim: Objective,
    evaluator: Evaluator,
    settings: Mapping[str, Any],
    data: Data,
    run_dir: Path,
) -> None:
    """Draw the page and say the answer, which stands whatever becomes of the calibration."""
    from reports.commands.onward import onward
    from reports.nas import report
    from training.options import measured
    from training.options.shown import keep_samples

    with when_stopped(f"stopped; the search's answer is in {run_dir}: go on with --resume"):
        keep_samples(run_dir, data)
        ways = onward(run_dir)
        report(run_dir, args.storage, ways)
        then = next(iter(ways.values()))
        told = cautions(settings, found.evaluations)
        if args.json:
            print(closing_json(told, as_json(found, aim, run_dir, args.cost), then), flush=True)
        else:
            print(closing(told, summary(found, aim, run_dir, args.cost), then), flush=True)
        if args.calibrate:
            with measured(args, run_dir, True):
                calibrate(found, args, evaluator, run_dir)
            report(run_dir, args.storage, ways)

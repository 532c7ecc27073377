"""The run of ``python -m scaling_search``, and what it says at its end."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command import when_stopped
from common.units import parse_duration, parse_target
from models.choose import choose
from models.cost import cost
from models.spec import ArchSpec
from scaling_search.points.point import SINGLES, check_ratio
from scaling_search.points.scalable import SpecBaseline
from scaling_search.points.solver import single
from scaling_search.points.target import latency_ratio
from scaling_search.search import search
from scaling_search.summary import answer, summary
from trials.caution import cautions, closing, closing_json
from trials.energy import kept as energy
from trials.progress import Progress
from trials.store.recalled import kept
from trials.store.study import not_dead

if TYPE_CHECKING:
    from training.stopwatch import Stopwatch
    from trials.latencies import Reading

_QUIET_SECONDS = 10.0


def go(args: argparse.Namespace) -> None:
    """Search, write the run directory's files, print what was found and where."""
    from training.given import settle_pictures
    from training.options import search_directory

    if args.target_flops and args.target_latency:  # one of them the resumed run's
        raise ValueError(
            f"the run's target is --target-latency {args.target_latency} or --target-flops "
            f"{args.target_flops}, not both: leave the other out, or choose another --out"
        )
    settle_pictures(args, args.baseline)
    baseline = choose(args.baseline)
    run_dir = search_directory(args, _name(args, baseline))
    with not_dead(run_dir):
        _search(args, baseline, run_dir)


def _search(args: argparse.Namespace, baseline: ArchSpec, run_dir: Path) -> None:
    from reports.commands.onward import onward
    from reports.scaling import report
    from training.given import say_if_other
    from training.options import executor, facts, inherited_from, measured, prepare, resumed
    from training.options.logs import logged, multipliers
    from training.options.rehearsal import rehearsed
    from training.options.shown import keep_samples
    from training.recipe import total_stride

    clock = _clock(args)
    growth = _growth(args, baseline, clock, resumed(args, run_dir))
    largest = _largest(args, baseline)  # what cannot be is told before pictures are decoded
    evaluator, data = prepare(
        args,
        growth,
        parent=inherited_from(args, run_dir, baseline=args.baseline, examples=[baseline]),
        reference=baseline.resolution,
        stride=total_stride(baseline),
        largest=lambda _: largest,
        run_dir=run_dir,
    )
    say_if_other(data, args.baseline)
    baseline = replace(baseline, classes=len(data.classes), in_channels=data.channels)
    if args.dry_run:
        dearest = max(_largest(args, baseline) or [baseline], key=lambda spec: cost(spec).macs)
        print(rehearsed(args, evaluator, dearest, args.trials))
        return
    print(f"run directory: {run_dir}", file=sys.stderr)
    settings = {**facts(args.data, data, evaluator), "growth": growth, "options": kept(args)}
    with when_stopped(f"stopped; what has finished is kept in {run_dir}: go on with --resume"):
        with measured(args, run_dir, args.resume):
            found = search(
                baseline,
                evaluator,
                args.target_latency or _flops(args),
                args.trials,
                args.seed,
                run_dir,
                args.resume,
                method=args.method,
                depth_rounding=args.depth_rounding,
                step=args.step,
                executor=lambda: executor(args, evaluator),
                minutes=args.minutes,
                region=args.region,
                measure=None if clock is None else _Shown(clock),
                measured_on=None if clock is None else clock.measured_on,
                settings=settings,
                storage=args.storage,
                join=args.join,
                progress=logged(args.log, Progress, multipliers),
            )
        keep_samples(run_dir, data)
        ways = onward(run_dir)
        report(run_dir, args.storage, ways)
    further = next(iter(ways.values()))
    told = cautions(settings, found.evaluations)
    if args.json:
        facts_of = {
            **found.to_dict(),
            "answer": answer(found),
            "run": str(run_dir),
            "energy": energy(run_dir),
        }
        print(closing_json(told, facts_of, further))
    else:
        print(closing(told, summary(found, run_dir), further))


def _largest(args: argparse.Namespace, baseline: ArchSpec) -> list[ArchSpec] | None:
    """The baseline and all of the cost given to one dimension; None where costs are measured."""
    if args.target_latency is not None:
        return None
    scalable = SpecBaseline(baseline, args.depth_rounding)
    target = parse_target(_flops(args), cost(baseline).macs)
    found = [baseline]
    for dimension in SINGLES:
        with suppress(ValueError):  # said by the search itself
            found.append(single(scalable, dimension, target).spec)
    return found


class _Shown:
    """A clock that says on stderr, now and then, how far the measuring is."""

    def __init__(self, clock: Stopwatch) -> None:
        self._clock = clock
        self._timings, self._begun, self._said = 0, time.monotonic(), 0.0

    def __call__(self, spec: ArchSpec) -> Reading:
        found = self._clock(spec)
        self._timings += 1
        elapsed = time.monotonic() - self._begun
        if elapsed - self._said >= _QUIET_SECONDS:
            self._said = elapsed
            print(f"latencies: {self._timings} timings, {elapsed:.0f} s", file=sys.stderr)
        return found


def _clock(args: argparse.Namespace) -> Stopwatch | None:
    if args.target_latency is None:
        return None
    from training.stopwatch import Stopwatch

    return Stopwatch(args.device, args.latency_batch, args.latency_threads)


def _flops(args: argparse.Namespace) -> str:
    return args.target_flops or "2x"


def _name(args: argparse.Namespace, baseline: ArchSpec) -> str:
    """Of a run directory."""
    target = f"latency-{args.target_latency}" if args.target_latency else _flops(args)
    from training.given import pictures_name

    pictures = pictures_name(args.data)
    return f"scaling-{target}-{baseline.name}-{pictures}"


def _growth(
    args: argparse.Namespace,
    baseline: ArchSpec,
    clock: Stopwatch | None,
    stored: Mapping[str, Any],
) -> float:
    """How many times the baseline's resolution the proxy makes room for: that at which resolution
    alone would cost the target, if cost grew with its square.

    A run that goes on keeps the room that it began with: a latency measured again would differ.
    """
    if (kept := stored.get("growth")) is not None:
        return float(kept)
    ratio = None
    if clock is None:
        base = cost(baseline).macs
        ratio = parse_target(_flops(args), base) / base
    elif (ratio := latency_ratio(args.target_latency)) is None:
        ratio = parse_duration(args.target_latency) / clock(baseline).median
        check_ratio(ratio)
    return math.sqrt(max(1.0, ratio))

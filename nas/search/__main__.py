"""``python -m nas.search``: options, the run, what is written and said at its end."""

from __future__ import annotations

import argparse
import functools
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from common.command import count, parser, place, run, when_stopped
from common.units import format_size
from models.cost import cost
from models.spec import ArchSpec
from nas.belief.account import in_words
from nas.calibrate import AGAIN, LONGER, spread_out, train_again
from nas.candidates import Candidates
from nas.costing import COSTS, LATENCY, cost_text, read_cost
from nas.costing.latency import SAMPLE, Latency
from nas.finals import SEEDS, Finals
from nas.objective import AIMS, Objective
from nas.prior import AnyPrior
from nas.prior.choose import default_prior, given_prior, recorded_prior
from nas.result import Finalist, SearchResult
from nas.samplers import NAMES
from nas.search import search
from nas.space import SPACES, Space, sides_about, space
from trials.progress import Progress
from trials.record import Evaluation
from trials.store.view import Record

if TYPE_CHECKING:
    from training.data import Data
    from training.evaluator import Evaluator
    from training.transfer.parent import Parent

WINDOW = 500  # networks that a prior is asked about beforehand
DESCRIPTION = """\
Step 1: find a baseline network for your pictures.

Networks of a MnasNet-like space are trained shortly and ranked by ACC*(FLOPS/T)^w. FLOPs are
multiply-adds of convolution and linear layers for one image at --resolution. T (--budget) is only
a constant factor in that reward and changes no ranking; it acts through the window of costs,
--low*T to --high*T, outside of which nothing is trained.

With --cost latency the budget is a time, such as 12ms, for one batch on --latency-device. Some
dozen networks are measured before the first training, and from then on each network before it is
trained: none is, whose measured latency lies outside the window."""


def options() -> argparse.ArgumentParser:
    """The command's options."""
    from training.options import add_options

    made = parser("nas.search", DESCRIPTION)
    goal = made.add_argument_group("what is searched")
    goal.add_argument(
        "--budget",
        default="400M",
        help="T, such as 400M or 1.5G; with --cost latency a time, such as 12ms",
    )
    goal.add_argument("--space", default="mnasnet", choices=SPACES)
    goal.add_argument(
        "--aim",
        default="reward",
        choices=AIMS,
        help="reward: ACC*(COST/T)^w; hard: ACC*min(1, T/COST); front: the Pareto front itself",
    )
    goal.add_argument("--cost", default="macs", choices=(*COSTS, LATENCY))
    goal.add_argument("--w", type=float, default=-0.07, help="the reward's exponent")
    goal.add_argument("--over", type=float, help="another exponent above T (default: the same)")
    goal.add_argument("--low", type=float, default=0.5, help="least cost trained, as a share of T")
    goal.add_argument("--high", type=float, default=1.0, help="greatest cost, as a share of T")
    goal.add_argument("--sampler", default="auto", choices=NAMES)
    goal.add_argument(
        "--trust",
        type=float,
        help="in (0, 1]: so many parts of what auto names by are its evidence, the rest what the "
        "prior, or parameters alone, foretell; default: only what the evidence says of either",
    )
    goal.add_argument(
        "--stop-early",
        action="store_true",
        help="stop trainings on whose way it shows that they will lose",
    )
    goal.add_argument("--trials", type=count, default=30, help="networks to train")
    goal.add_argument(
        "--resolution",
        type=sides,
        metavar="PIXELS[,PIXELS…]",
        help="pixels FLOPs are counted at; several: each network's own is searched among them; "
        "default: those at which the parent of inherited weights costs about the budget (sides of "
        "16n+1, such as 97, suit published weights), else the space's own, 224 or (macro) 32",
    )
    goal.add_argument(
        "--prior",
        type=place,
        metavar="none|imagenet|RUN|CSV",
        help="what is known beforehand: what ImageNet taught, an earlier run or a table of "
        "accuracies; it counts as far as trainings bear it out; default: imagenet for pictures in "
        "colour, else none",
    )
    goal.add_argument(
        "--calibrate",
        type=count,
        metavar="K",
        help="afterwards train K of the "
        "networks again, and longer, and report how the rankings agree",
    )
    goal.add_argument("--longer", type=count, default=4, help="times the epochs, with --calibrate")
    clock = made.add_argument_group("latency", "with --cost latency")
    clock.add_argument(
        "--latency-device",
        default="cpu",
        help="cpu, cuda, cuda:1, mps; best one on which nothing is trained",
    )
    clock.add_argument("--latency-batch", type=count, default=1, help="images at once")
    clock.add_argument("--latency-threads", type=count, default=1, help="on a CPU")
    clock.add_argument(
        "--latency-sample",
        type=count,
        default=SAMPLE,
        help="networks that are measured before the first training",
    )
    add_options(made)
    return made


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
    from training.transfer.child import keep_answer
    from training.transfer.options import at_home, here, trained_further
    from training.transfer.parent import alike
    from training.transfer.sources import BASELINE
    from training.variation import as_options

    args = options().parse_args(argv)
    settle_pictures(args)
    budget, counted = read_cost(args.cost, args.budget), _cost(args)
    asked = cost_text(args.cost, budget).replace(" ", "")
    run_dir = run_directory(args, f"nas-{asked}-{pictures_name(args.data)}")
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
        largest=_largest(args, named, budget),
        run_dir=run_dir,
    )
    own = {} if evaluator.parent is None else alike(evaluator.parent.spec)
    searched = named.with_template(classes=len(data.classes), in_channels=data.channels, **own)
    print(f"run directory: {run_dir}", file=sys.stderr)
    prior = _prior(args, searched, data, resumed(args, run_dir), budget)
    with when_stopped(f"stopped; finished trainings are kept in {run_dir}: go on with --resume"):
        found = search(
            searched,
            evaluator,
            budget,
            args.trials,
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
            minutes=args.minutes,
            settings=facts(args.data, data, evaluator),
            progress=Progress,
            prior=prior,
            trust=args.trust,
            stop_early=args.stop_early,
            near=_members(searched, evaluator.parent),
            finals=_finals(args, evaluator, run_dir),
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
        print(summary(found, run_dir, args.cost, further), flush=True)
        if args.calibrate:
            _calibrate(found, args, evaluator, run_dir)
            report(run_dir, args.storage)


def sides(text: str) -> tuple[int, ...]:
    """``97,113`` as numbers of pixels."""
    return tuple(count(part) for part in text.split(","))


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


def _largest(args: argparse.Namespace, searched: Space, budget: float) -> Iterator[ArchSpec] | None:
    """The networks of the window that ask most of memory; None where they must be measured.

    Each is sought only when it is asked for: a run that goes on has its recipe already.
    """
    if args.cost == LATENCY:
        return None
    aim = Objective(budget, args.aim, args.w, args.over, args.low, args.high)
    inside = Candidates(searched, aim, args.cost)
    return (inside.greatest(field) for field in ("params", "activations"))


def _prior(
    args: argparse.Namespace,
    searched: Space,
    data: Data,
    before: Mapping[str, Any],
    budget: float,
) -> AnyPrior | None:
    """What is given; for a run that goes on, what it began with; else the default, which is said.

    Sampler auto alone can use one. A run of before there was a default had none, and has none.
    """
    given = args.prior or (recorded_prior(before) if before else None)
    if given is not None:
        return given_prior(given, searched)
    if before or args.sampler != "auto":
        return None
    window = searched.random(WINDOW, np.random.default_rng(0))
    if args.cost != LATENCY:
        aim = Objective(budget, args.aim, args.w, args.over, args.low, args.high)
        inside = Candidates(searched, aim, args.cost).draw(WINDOW, np.random.default_rng(0))
        window = inside if len(inside) else window
    prior, said = default_prior(searched, window, data.in_colour)
    if said:
        print(said, file=sys.stderr)
    return prior


def _calibrate(
    found: SearchResult, args: argparse.Namespace, evaluator: Evaluator, run_dir: Path
) -> None:
    from training.options import executor
    from training.transfer.options import trained_further

    chosen = spread_out(found.trials, args.calibrate)
    recipe = evaluator.recipe
    trained = recipe if recipe.epochs else trained_further(recipe)
    rounds = [(LONGER, replace(trained, epochs=args.longer * trained.epochs))]
    if recipe.epochs:  # else nothing in it depends on a seed
        rounds.insert(0, (AGAIN, recipe))
    for name, recipe in rounds:
        trainer = replace(evaluator, recipe=recipe)
        runner = functools.partial(executor, args, trainer)
        train_again(chosen, run_dir / name, args.seed, recipe.key, runner)


def _members(searched: Space, parent: Parent | None) -> list[ArchSpec]:
    """The space's networks that have the parent's stages; that with its resolution first."""
    if parent is None:
        return []
    made = [
        replace(searched.template, stages=parent.spec.stages, resolution=side)
        for side in sorted(_pixels(searched), key=lambda side: side != parent.spec.resolution)
    ]
    return [one for one in made if searched.contains(one)]


def _finals(args: argparse.Namespace, evaluator: Evaluator, run_dir: Path) -> Finals | None:
    """The further trainings of the best children; None where trials are trainings from scratch."""
    from training.options import executor
    from training.transfer.options import trained_further

    if evaluator.parent is None:
        return None
    trainer = replace(evaluator, recipe=trained_further(evaluator.recipe))

    def train(records: Sequence[Record]) -> dict[int, list[Evaluation]]:
        print(f"{len(records)} networks are trained further, {SEEDS} times each", file=sys.stderr)
        found: dict[int, list[Evaluation]] = {record.number: [] for record in records}
        for step in range(1, SEEDS + 1):
            runner = functools.partial(executor, args, trainer)
            place, key = run_dir / f"final-{step}", trainer.recipe.key
            for again in train_again(records, place, args.seed, key, runner, step):
                number = int(again.attrs["trial"])
                if again.evaluation is not None and number in found:
                    found[number].append(again.evaluation)
        return found

    return train


def _cost(args: argparse.Namespace) -> str | Latency:
    if args.cost != LATENCY:
        return str(args.cost)
    from training.stopwatch import Stopwatch

    clock = Stopwatch(args.latency_device, args.latency_batch, args.latency_threads)
    print(f"{args.latency_sample} networks are measured before the first training", file=sys.stderr)
    watch = functools.partial(tqdm, desc="latencies", unit="network", disable=None, leave=False)
    return Latency(clock, clock.measured_on, args.latency_sample, watch=watch)


def summary(found: SearchResult, run_dir: Path, kind: str, further: str) -> str:
    """What a person wants to read at the end, ``further`` the command to go on with."""
    best = found.best
    states = Counter(record.state for record in found.trials)
    stopped = f", {states['stopped']} stopped early" if states["stopped"] else ""
    counts = f"{states['failed']} failed{stopped}"
    paid = f"{kind} {cost_text(kind, best.cost)}, " if kind != "macs" else ""
    lines = [
        f"best of {len(found.trials)} trials ({counts}): {best.spec.name}",
        f"  proxy accuracy {best.accuracy:.4f} (validation split{_both(found)}), "
        f"{paid}{format_size(cost(best.spec).macs)} multiply-adds, reward {best.reward:.4f}",
        *_told(found.finals),
        *([f"  {in_words(found.basis)}"] if found.basis else []),
        f"baseline: {run_dir / 'baseline.json'}{' and its weights' if found.finals else ''}",
        f"report:   {run_dir / 'report.html'}",
        f"next:     {further}",
    ]
    return "\n".join(lines)


def _told(finals: Sequence[Finalist]) -> Iterator[str]:
    """What the further trainings said."""
    if not finals:
        return
    best, *others = finals
    beside = ", ".join(f"{one.accuracy:.4f}" for one in others)
    yield (
        f"  trained further {best.trainings} times: {best.accuracy:.4f}"
        + (f" (the other {len(others)} finalists: {beside})" if others else "")
    )


def _both(found: SearchResult) -> str:
    """Either accuracy of the network that was named, where its training told them."""
    made = next(record.evaluation for record in found.trials if record.number == found.best.number)
    told = made.details if made else {}
    if "balanced_accuracy" not in told:
        return ""
    return f"; plain {told['plain_accuracy']:.4f}, balanced {told['balanced_accuracy']:.4f}"


if __name__ == "__main__":
    sys.exit(run(main))

"""``python -m nas.search``: options, the run, what is written and said at its end."""

from __future__ import annotations

import argparse
import functools
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from common.command import count, parser, path, run, when_stopped
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
from nas.prior import load_prior
from nas.result import Finalist, SearchResult
from nas.samplers import NAMES
from nas.search import search
from nas.space import SPACES, Batch, Space, space
from trials.progress import Progress
from trials.record import Evaluation
from trials.store.view import Record

if TYPE_CHECKING:
    from training.evaluator import Evaluator
    from training.transfer.parent import Parent

LIMITED = {"params": "5M", "activations": "8M", LATENCY: "12ms"}  # with an example of each

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
    add_limits(goal)
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
        type=count,
        help="pixels FLOPs are counted at; default: the space's own, 224 or (macro) 32",
    )
    goal.add_argument(
        "--prior",
        type=path,
        metavar="RUN|CSV",
        help="an earlier run, or a table of known accuracies",
    )
    goal.add_argument(
        "--calibrate",
        type=count,
        metavar="K",
        help="afterwards train K of the "
        "networks again, and longer, and report how the rankings agree",
    )
    goal.add_argument("--longer", type=count, default=4, help="times the epochs, with --calibrate")
    add_clock(made.add_argument_group("latency", "with --cost latency or --max-latency"))
    add_options(made)
    return made


def add_limits(goal: argparse._ArgumentGroup, kinds: Sequence[str] = tuple(LIMITED)) -> None:
    """The greatest cost of other kinds than the budget's."""
    for kind in kinds:
        goal.add_argument(
            f"--max-{kind}",
            metavar="LIMIT",
            help=f"{kind}, such as {LIMITED[kind]}: nothing of more is trained, in any budget",
        )


def add_clock(clock: argparse._ArgumentGroup) -> None:
    """How latencies are measured."""
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


def main(argv: Sequence[str] | None = None) -> None:
    """Search, draw the report, print what was found and where; then calibrate, where asked to."""
    from reports.nas import report
    from training.given import next_command, pictures_name, settle_pictures
    from training.options import executor, facts, prepare, run_directory
    from training.transfer.child import keep_answer
    from training.transfer.options import here, trained_further
    from training.transfer.parent import alike
    from training.transfer.sources import BASELINE
    from training.variation import as_options

    args = options().parse_args(argv)
    settle_pictures(args)
    budget, counted = read_cost(args.cost, args.budget), clocked(args, args.cost)
    limits = [(clocked(args, kind), most) for kind, most in limits_of(args).items()]
    asked = cost_text(args.cost, budget).replace(" ", "")
    run_dir = run_directory(args, f"nas-{asked}-{pictures_name(args.data)}")
    evaluator, data = prepare(
        args,
        reference=_space(args).template.resolution,
        examples=[_space(args).spec_of(row) for row in _drawn(args)],
        follow=True,
        largest=_largest(args, budget),
        run_dir=run_dir,
    )
    if evaluator.parent is not None and args.stop_early:
        raise ValueError("--stop-early is for trainings from scratch: add --init scratch")
    own = {} if evaluator.parent is None else alike(evaluator.parent.spec)
    searched = _space(args).with_template(
        classes=len(data.classes), in_channels=data.channels, **own
    )
    print(f"run directory: {run_dir}", file=sys.stderr)
    prior = load_prior(args.prior, searched) if args.prior else None
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
            limits=limits,
            executor=lambda: executor(args, evaluator),
            storage=args.storage,
            join=args.join,
            minutes=args.minutes,
            settings=facts(args.data, data, evaluator),
            progress=Progress,
            prior=prior,
            trust=args.trust,
            stop_early=args.stop_early,
            near=_member(searched, evaluator.parent),
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


def _space(args: argparse.Namespace) -> Space:
    """The space at the pixels that its FLOPs are counted at."""
    named = space(args.space)
    return named.with_template(resolution=args.resolution or named.template.resolution)


def _drawn(args: argparse.Namespace) -> Batch:
    """A few networks of the space, in the window or not."""
    return _space(args).random(4, np.random.default_rng(0))


def _largest(args: argparse.Namespace, budget: float) -> Iterator[ArchSpec] | None:
    """The networks of the window that ask most of memory; None where they must be measured.

    Each is sought only when it is asked for: a run that goes on has its recipe already.
    """
    limits = limits_of(args)
    if LATENCY in (args.cost, *limits):
        return None
    searched = _space(args)
    aim = Objective(budget, args.aim, args.w, args.over, args.low, args.high, limits)
    inside = Candidates(searched, aim, args.cost)
    return (inside.greatest(field) for field in ("params", "activations"))


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


def _member(searched: Space, parent: Parent | None) -> ArchSpec | None:
    """The space's network that has the parent's stages; None where there is none."""
    if parent is None:
        return None
    same = replace(searched.template, stages=parent.spec.stages)
    return same if searched.contains(same) else None


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

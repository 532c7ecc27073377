"""Trainings beside a search's own: of its finalists, and those that calibrate it."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.cost import cost
from models.spec import ArchSpec
from nas.calibrate import AGAIN, LONGER, spread_out, train_again
from nas.costing import LATENCY
from nas.costing.latency import Latency
from nas.finals import ROUNDS, Finals, kept_in
from nas.objective import Objective
from nas.result import Candidate, SearchResult
from nas.search.against import KEPT, train
from nas.search.commands.minutes import Minutes
from nas.search.rivals import FEWEST_TRIALS, SIDES, USUAL, Plan, Rival, families, planned
from nas.space import Space
from trials.conduct import Means
from trials.progress import Progress
from trials.record import Evaluation
from trials.store.view import Record

if TYPE_CHECKING:
    from training.evaluator import Evaluator
    from training.transfer.parent import Parent


def calibrate(
    found: SearchResult, args: argparse.Namespace, evaluator: Evaluator, run_dir: Path
) -> None:
    """Train K of the networks again and longer, each a run below the search's directory."""
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
        means = Means(functools.partial(executor, args, trainer), progress=Progress)
        train_again(chosen, run_dir / name, args.seed, recipe.key, means)


def minutes_of(
    args: argparse.Namespace, evaluator: Evaluator, own: int, plan: Plan, begun: float
) -> Minutes:
    """--minutes since ``begun``, for ``own`` trials, the finals and the comparisons of ``plan``, by
    how many epochs each has."""
    from training.transfer.options import times_as_long

    rounds, longer = [0] * len(ROUNDS), 1.0
    if evaluator.parent is not None:
        rounds = [min(own, count) for count in ROUNDS]
        longer = times_as_long(evaluator.recipe)
    finals = {f"finals {n}": longer * count for n, count in enumerate(rounds, 1)}
    units = {"trials": float(own), **finals, "against": longer * plan.trainings}
    return Minutes(args.minutes, units, begun)


def finals_of(
    args: argparse.Namespace, evaluator: Evaluator, run_dir: Path, minutes: Minutes
) -> Finals | None:
    """The further trainings of the best children, judged by other pictures in the second round
    where these are few (``training.transfer.judges``); None where trials are from scratch."""
    from training.options import executor
    from training.transfer.judges import by_others
    from training.transfer.options import trained_further
    from training.transfer.ready import made_ready

    if evaluator.parent is None:
        return None
    first = replace(evaluator, recipe=trained_further(evaluator.recipe))

    def trainer_of(step: int) -> Evaluator:
        if step == 1:
            return first
        here = kept_in(run_dir, step)
        others = by_others(
            first, lambda parent, data: made_ready(parent, args, evaluator.recipe, data, here)
        )
        return others or first

    def train(records: Sequence[Record], step: int) -> dict[int, Evaluation]:
        trainer = trainer_of(step)
        judged = "" if trainer.source == first.source else ", judged by other pictures"
        print(f"{len(records)} networks are trained further, round {step}{judged}", file=sys.stderr)
        runner = functools.partial(executor, args, trainer)
        means = Means(runner, minutes.of(f"finals {step}"), Progress)
        here, key = kept_in(run_dir, step), trainer.recipe.key
        numbers = {record.number for record in records}
        made = train_again(records, here, args.seed, key, means, step)
        done = len(numbers & {int(again.attrs["trial"]) for again in made})
        if done < len(numbers):
            print(
                f"the minutes are over: {done} of them were, --resume trains more", file=sys.stderr
            )
        return {
            number: again.evaluation
            for again in made
            if again.evaluation is not None and (number := int(again.attrs["trial"])) in numbers
        }

    return train


def compared(
    args: argparse.Namespace,
    searched: Space,
    parent: Parent | None,
    aim: Objective,
    counted: str | Latency,
    limits: Sequence[tuple[str | Latency, float]],
) -> Plan:
    """The known networks of --against, or by default the ``parent`` at the highest searched
    resolution that the window allows, or the usual ones; said on stderr.

    Several drivers of one study compare nothing: each would train them.
    """
    known, template = families(args.against or ()), searched.template
    sides: Sequence[int] = SIDES
    if args.against is None and args.trials >= FEWEST_TRIALS and not args.join:
        known = families(USUAL) if parent is None else {parent.name: parent.spec}
        if parent is not None and searched.resolutions:
            sides = sorted(searched.resolutions)
            template = replace(template, resolution=sides[-1])

    def priced(kind: str | Latency, spec: ArchSpec) -> float:
        if isinstance(kind, str):
            return float(getattr(cost(spec), kind))
        if kind.measure is None:
            raise ValueError("latencies cannot be measured here: add --against none")
        return kind.measure(spec).median

    kinds = {one if isinstance(one, str) else LATENCY: one for one, _ in limits}
    others = {name: functools.partial(priced, kind) for name, kind in kinds.items()}
    # At a measured cost, a search over sizes would take long.
    counts = all(isinstance(kind, str) for kind in (counted, *kinds.values()))
    own = functools.partial(priced, counted)
    plan = planned(known, template, aim, own, args.trials, sides if counts else None, others)
    for line in plan.said(args.trials):
        print(line, file=sys.stderr)
    return plan


def against_of(
    args: argparse.Namespace, plan: Plan, evaluator: Evaluator, run_dir: Path, minutes: Minutes
) -> Callable[[Candidate], dict[str, Any] | None] | None:
    """The trainings of ``plan`` and the chosen network, within what is left of the minutes."""
    from training.options import executor
    from training.transfer.options import trained_further

    if not plan.known:
        return None
    own = evaluator.recipe
    trainer = evaluator  # children are cut unlike: a short training would judge by that
    if evaluator.parent is not None:
        trainer = replace(evaluator, recipe=trained_further(own))

    def compare(best: Candidate) -> dict[str, Any] | None:
        runner = functools.partial(executor, args, trainer)
        means = Means(runner, minutes.of("against"), Progress)
        chosen = Rival("chosen", best.spec, best.cost)
        found = train(plan, chosen, run_dir / KEPT, args.seed, trainer.recipe.key, means)
        return None if found is None else found.to_dict()

    return compare

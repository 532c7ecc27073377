"""What ``python -m scaling_search study`` does, once its options are read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from common.command import when_stopped
from common.units import format_size
from models.choose import choose
from models.spec import ArchSpec
from scaling_search.coefficients import Coefficients, read_coefficients
from scaling_search.studies import parse_shares
from scaling_search.study_plan import Ladders, StudyPlan, growth, parse_factors, planned
from trials.caution import cautions, closing
from trials.conduct import Means, accuracy, conduct
from trials.loop import Propose
from trials.progress import Progress
from trials.record import Evaluation, trial_seed
from trials.store.recalled import kept
from trials.store.run import Run
from trials.store.study import not_dead, open_run
from trials.store.view import Proposal, Record

if TYPE_CHECKING:
    from trials.workers.pool import Executor

KIND = "study"
Choices = tuple[Ladders, Coefficients, dict[str, tuple[float, float, float]], str]


def go(args: argparse.Namespace) -> None:
    """Train, write the run directory's files, print the table and where they are."""
    from training.given import pictures_name, settle_pictures
    from training.options import search_directory

    settle_pictures(args, args.baselines.partition(",")[0].strip())
    ladders = parse_factors(args.study, args.factors)
    specs = _chosen(args.baselines)
    coefficients = read_coefficients(args.coefficients)
    splits = _splits(args.study, args.shares)
    run_dir = search_directory(args, f"study-{args.study}-{pictures_name(args.data)}")
    with not_dead(run_dir):
        _study(args, specs, (ladders, coefficients, splits, args.depth_rounding), run_dir)


def _study(
    args: argparse.Namespace, specs: dict[str, ArchSpec], choices: Choices, run_dir: Path
) -> None:
    from reports.commands.onward import onward
    from reports.scaling.study import report
    from training.options import executor, facts, inherited_from, prepare
    from training.options.flags import SCRATCH
    from training.options.shown import keep_samples
    from training.recipe import total_stride

    ladders, coefficients, splits, _ = choices
    largest = planned(args.study, specs, *choices).networks.values()
    args.init = args.init or SCRATCH  # one parent is not as near to every baseline
    evaluator, data = prepare(
        args,
        growth(args.study, ladders),
        parent=inherited_from(args, run_dir),
        reference=max(spec.resolution for spec in specs.values()),
        stride=max(map(total_stride, specs.values())),
        largest=lambda _: largest,
        run_dir=run_dir,
    )
    specs = {
        name: replace(spec, classes=len(data.classes), in_channels=data.channels)
        for name, spec in specs.items()
    }
    plan = planned(args.study, specs, *choices)
    print(f"run directory: {run_dir}\n{_announced(plan, args.repeats)}", file=sys.stderr)
    settings = {
        **facts(args.data, data, evaluator),
        "options": kept(args),
        "kind": KIND,
        "seed": args.seed,
        "study": args.study,
        "baselines": {name: spec.key for name, spec in specs.items()},
        "factors": ladders,
        "shares": splits,
        "coefficients": asdict(coefficients),
        "repeats": args.repeats,
        "depth_rounding": args.depth_rounding,
        "minutes": args.minutes,
        "networks": list(plan.networks),
        "entries": plan.to_dicts(),
        "left_out": plan.left_out,
    }
    with when_stopped(f"stopped; what has finished is kept in {run_dir}: go on with --resume"):
        trained = _train(plan, args, settings, run_dir, lambda: executor(args, evaluator))
        if not trained:
            raise ValueError(f"--minutes {args.minutes:g}: no training began in time, give more")
        keep_samples(run_dir, data)
        ways = onward(run_dir)
        page = report(run_dir, args.storage, ways)
    text = f"{(run_dir / 'study.md').read_text('utf-8')}\nreport: {page}"
    print(closing(cautions(settings, trained), text, next(iter(ways.values()))))


def _chosen(text: str) -> dict[str, ArchSpec]:
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names):
        raise ValueError(f"--baselines {text!r:.80} names one baseline twice: name each once")
    return {name: choose(name) for name in names}


def _splits(study: str, given: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    if given and study != "compare":
        raise ValueError(f"--shares {given[0]!r:.80} is for the study compare, not {study}")
    return {text.replace(" ", ""): parse_shares(text) for text in given}


def _announced(plan: StudyPlan, repeats: int) -> str:
    networks, costs = len(plan.networks), [entry.point.macs for _, entry in plan.entries]
    return (
        f"{networks} networks of {format_size(min(costs))} to {format_size(max(costs))} FLOPs, "
        f"{repeats * networks} trainings"
    )


def _train(
    plan: StudyPlan,
    args: argparse.Namespace,
    settings: dict[str, Any],
    run_dir: Path,
    executor: Callable[[], Executor],
) -> list[Evaluation]:
    """What the trainings that ended well came to."""
    from training.options.logs import as_symbols, logged

    own = {entry.point.spec.key: entry.point.realised for _, entry in plan.entries}

    def facts(record: Record) -> dict[str, Any]:
        return {**as_symbols(own[record.spec.key]._asdict()), "repeat": record.attrs["repeat"]}

    means = Means(executor, args.minutes, logged(args.log, Progress, facts))
    with open_run(
        run_dir,
        settings,
        ["maximize"],
        from_json=ArchSpec.from_json,
        resume=args.resume,
        storage=args.storage,
        join=args.join,
    ) as run:
        run.name_values(["accuracy"])
        conduct(run, _proposer(plan), accuracy, args.repeats * len(plan.networks), means)
        return [record.evaluation for record in run.finished() if record.evaluation is not None]


def _proposer(plan: StudyPlan) -> Propose:
    """Every network once, then every one again: cut short, repeats differ by one at most."""
    networks = list(plan.networks.values())
    costs = {entry.point.spec.key: entry.cost for _, entry in plan.entries}

    def propose(trial: optuna.Trial, run: Run) -> Proposal:
        repeat, place = divmod(trial.number, len(networks))
        spec = networks[place]
        # Every network's n-th training has the same seed: differences of networks are paired.
        seed = trial_seed(run.seed, repeat)
        return Proposal(spec, costs[spec.key], {"place": place, "repeat": repeat}, seed)

    return propose

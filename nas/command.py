"""``python -m nas.search``: options, the run, what is written and said at its end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from models.command import count, parser, size
from models.cost import cost
from models.sizes import format_size
from models.spec import ArchSpec
from nas.objective import AIMS
from nas.prior import Prior, prior_of, read_prior
from nas.result import Result
from nas.samplers import NAMES
from nas.search import search
from nas.space import SPACES, Space, space
from trials.loop import SearchFailed
from trials.progress import Progress
from trials.study import read_run

DESCRIPTION = """\
Step 1: find a baseline network for your pictures.

Networks of a MnasNet-like space are trained shortly and ranked by ACC*(FLOPS/T)^w. FLOPs are
multiply-adds of convolution and linear layers for one image at --resolution. T (--budget) is only
a constant factor in that reward and changes no ranking; it acts through the window of costs,
--low*T to --high*T, outside of which nothing is trained."""


def options() -> argparse.ArgumentParser:
    """The command's options."""
    from training.options import add_options

    made = parser("nas.search", DESCRIPTION)
    goal = made.add_argument_group("what is searched")
    goal.add_argument("--budget", type=size, default="400M", help="T, such as 400M or 1.5G")
    goal.add_argument("--space", default="mnasnet", choices=SPACES)
    goal.add_argument("--aim", default="reward", choices=AIMS, help="reward: ACC*(COST/T)^w; "
                      "hard: ACC*min(1, T/COST); front: the Pareto front itself")  # fmt: skip
    goal.add_argument("--cost", default="macs", choices=("macs", "params", "activations"))
    goal.add_argument("--w", type=float, default=-0.07, help="the reward's exponent")
    goal.add_argument("--over", type=float, help="another exponent above T (default: the same)")
    goal.add_argument("--low", type=float, default=0.5, help="least cost trained, as a share of T")
    goal.add_argument("--high", type=float, default=1.0, help="greatest cost, as a share of T")
    goal.add_argument("--sampler", default="auto", choices=NAMES)
    goal.add_argument("--trials", type=count, default=30, help="networks to train")
    goal.add_argument("--resolution", type=count, default=224, help="pixels FLOPs are counted at")
    goal.add_argument("--prior", type=Path, metavar="RUN|CSV",
                      help="an earlier run, or a table of known accuracies")  # fmt: skip
    add_options(made)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Search, write the run directory's files, print what was found and where."""
    from training.options import executor, facts, prepare, run_directory

    args = options().parse_args(argv)
    evaluator, data = prepare(args)
    searched = space(args.space).with_template(
        resolution=args.resolution, classes=len(data.classes), in_channels=data.channels
    )
    run_dir = run_directory(args, f"nas-{format_size(args.budget)}-{data.name}")
    print(f"run directory: {run_dir}", file=sys.stderr)
    try:
        found = search(
            searched, evaluator, args.budget, args.trials, args.sampler, args.aim, args.cost,
            args.seed, run_dir, args.resume, w=args.w, over=args.over, low=args.low,
            high=args.high, executor=lambda: executor(args, evaluator),
            storage=args.storage, join=args.join, minutes=args.minutes,
            settings=facts(data, evaluator.recipe),
            progress=lambda run, trials, best: Progress(run, trials, best=best),
            prior=_prior(args.prior, searched) if args.prior else None,
        )  # fmt: skip
    except SearchFailed as error:
        raise SystemExit(f"error: {error}") from None
    write(found, run_dir, args.storage)
    print(summary(found, run_dir))


def _prior(path: Path, searched: Space) -> Prior:
    if not path.is_dir():
        return read_prior(path, searched)
    records = read_run(path, from_json=ArchSpec.from_json).finished()
    return prior_of(((r.spec, r.evaluation.accuracy) for r in records if r.evaluation), searched)


def write(found: Result, run_dir: Path, storage: str | None = None) -> None:
    """baseline.json, trials.csv, pareto.csv and the report."""
    from reports.nas import report

    (run_dir / "baseline.json").write_text(found.best.spec.to_json() + "\n")
    report(run_dir, storage)


def summary(found: Result, run_dir: Path) -> str:
    """What a person wants to read at the end."""
    best = found.best
    failed = sum(record.failure is not None for record in found.trials)
    lines = [
        f"best of {len(found.trials)} trials ({failed} failed): {best.spec.name}",
        f"  proxy accuracy {best.accuracy:.4f} (validation split), "
        f"{format_size(cost(best.spec).macs)} multiply-adds, reward {best.reward:.4f}",
        f"baseline: {run_dir / 'baseline.json'}",
        f"report:   {run_dir / 'report.html'}",
        f"next:     python -m scaling_search --target-flops 2x --baseline {run_dir}",
    ]
    return "\n".join(lines)

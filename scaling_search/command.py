"""``python -m scaling_search``: options, the run, what it says at its end; and ``family``."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from models.choose import choose
from models.command import count, parser
from models.cost import cost
from models.sizes import format_size, parse_target
from models.spec import ArchSpec
from scaling_search import family
from scaling_search.coefficients import PAPER, read_coefficients
from scaling_search.result import Result
from scaling_search.samplers import METHODS
from scaling_search.scalable import SpecBaseline
from scaling_search.search import search
from trials.loop import SearchFailed
from trials.progress import Progress

DESCRIPTION = """\
Steps 2 and 3: find how a network should scale on your pictures, and make the family.

Networks of equal realised cost, from the baseline in every direction, are trained shortly; a
smooth surface through all trainings gives alpha (depth), beta (width) and gamma (resolution) with
a 90 % confidence interval. FLOPs are multiply-adds of convolution and linear layers for one image.

Also: python -m scaling_search family --help, python -m scaling_search study --help"""


def options() -> argparse.ArgumentParser:
    """The search's options."""
    from training.options import add_options

    made = parser("scaling_search", DESCRIPTION)
    goal = made.add_argument_group("what is searched")
    goal.add_argument("--target-flops", default="2x", help="a multiple (2x, 0.5x) or size (800M)")
    _add_baseline(goal)
    goal.add_argument("--trials", type=count, default=40, help="trainings in all")
    goal.add_argument("--method", default="adaptive", choices=METHODS, help="adaptive: train where "
                      "it tells most; grid: Optuna's GridSampler, equal repeats")  # fmt: skip
    goal.add_argument("--step", type=float, default=0.1, help="of the grid, in shares of the cost")
    goal.add_argument("--region", type=float, help="stop when the 90 %% region is at most this "
                      "part of all ways to scale")  # fmt: skip
    add_options(made)
    return made


def _add_baseline(group: argparse._ActionsContainer) -> None:
    group.add_argument("--baseline", default="efficientnet-b0",
                       help="a run of nas.search, a spec file or a family's name")  # fmt: skip
    group.add_argument("--depth-rounding", default="ceil", choices=("ceil", "nearest"),
                       help="of layers; ceil is the paper's")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Dispatch to the search or to a subcommand."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["family"]:
        make_family(given[1:])
    elif given[:1] == ["study"]:
        from scaling_search import study_command

        study_command.main(given[1:])
    else:
        run_search(given)


def run_search(argv: Sequence[str]) -> None:
    """Search, write the run directory's files, print what was found and where."""
    from reports.scaling import report
    from training.options import executor, facts, prepare, run_directory

    args = options().parse_args(argv)
    baseline = choose(args.baseline)
    base = cost(baseline).macs
    ratio = parse_target(args.target_flops, base) / base
    evaluator, data = prepare(args, growth=math.sqrt(max(1.0, ratio)))
    baseline = replace(baseline, classes=len(data.classes), in_channels=data.channels)
    run_dir = run_directory(args, f"scaling-{args.target_flops}-{baseline.name}-{data.name}")
    print(f"run directory: {run_dir}", file=sys.stderr)
    try:
        found = search(
            baseline, evaluator, args.target_flops, args.trials, args.seed, run_dir, args.resume,
            method=args.method, depth_rounding=args.depth_rounding, step=args.step,
            executor=lambda: executor(args, evaluator), minutes=args.minutes, region=args.region,
            settings=facts(data, evaluator.recipe), storage=args.storage, join=args.join,
            progress=Progress,
        )  # fmt: skip
    except SearchFailed as error:
        raise SystemExit(f"error: {error}") from None
    report(run_dir, args.storage)
    print(summary(found, run_dir))


def summary(found: Result, run_dir: Path) -> str:
    """What a person wants to read at the end."""
    lines = [f"{len(found.trials)} trainings of {len(found.grid.points)} points; "
             f"{found.dropped} points could not reach the target and were dropped"]  # fmt: skip
    for symbol, name in zip("αβγ", ("alpha", "beta", "gamma"), strict=True):
        low, high = found.confidence[name]
        value = getattr(found.coefficients, name)
        lines.append(f"  {symbol} = {value:.3f}   90 % interval {low:.3f} to {high:.3f}")
    for item in found.comparisons:
        lines.append(
            f"  against {item.against}: {item.verdict} ({100 * item.difference:+.2f} points, "
            f"{100 * item.low:+.2f} to {100 * item.high:+.2f})"
        )
    lines += [f"coefficients: {run_dir / 'coefficients.json'}", f"family: {run_dir / 'family'}",
              f"report: {run_dir / 'report.html'}"]  # fmt: skip
    return "\n".join(lines)


def make_family(argv: Sequence[str]) -> None:
    """``family``: every member at its realised cost, without any training."""
    made = parser("scaling_search family", "Write a family's members, each at its realised cost.")
    made.add_argument("--coefficients", default=f"{PAPER.alpha},{PAPER.beta},{PAPER.gamma}",
                      help="coefficients.json of a run, or three numbers")  # fmt: skip
    _add_baseline(made)
    made.add_argument("--phi", default=",".join(f"{phi:g}" for phi in family.PHIS),
                      help="steps, separated by commas; negative ones shrink")  # fmt: skip
    made.add_argument("--targets", help="costs in place of --phi: 1x,2x,4x or 400M,800M")
    made.add_argument("--batch", type=count, default=family.BATCH, help="for the memory estimate")
    made.add_argument("--onnx", action="store_true", help="also write each member as ONNX, with "
                      "fresh weights; needs the extra onnx")  # fmt: skip
    made.add_argument("--out", type=Path, default=Path("family"))
    args = made.parse_args(argv)
    spec = choose(args.baseline)
    baseline = SpecBaseline(spec, args.depth_rounding)
    chosen = read_coefficients(args.coefficients)
    phis = _numbers(args.phi)
    if args.targets:
        targets = [parse_target(text, cost(spec).macs) for text in args.targets.split(",")]
        phis = family.phis_of(baseline, chosen, targets)
    members = family.members(baseline, chosen, phis, batch=args.batch)
    for path, member in zip(family.write(args.out, members), members, strict=True):
        realised = member.point.realised
        memory = "" if member.memory is None else f"  about {member.memory / 2**30:.1f} GiB"
        print(f"{path}  {format_size(member.cost['macs'])} FLOPs  "
              f"{format_size(member.cost['params'])} parameters  depth {realised.depth:.2f} "
              f"width {realised.width:.2f} resolution {realised.resolution:.2f}{memory} "
              f"at batch {member.batch}")  # fmt: skip
        if args.onnx:
            _write_onnx(member.spec, path.with_suffix(".onnx"))


def _write_onnx(spec: ArchSpec, path: Path) -> None:
    from models.export import export

    export(spec, path, "onnx")
    print(path)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{text!r:.80} is no list of numbers such as 0,0.5,1,2") from None

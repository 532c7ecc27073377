"""``python -m scaling_search family``: a family's members, without any training."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.command import count, parser, path, place
from common.paths import check_directory
from common.units import format_size, parse_target
from models.choose import choose
from models.cost import cost
from models.spec import ArchSpec
from scaling_search import family
from scaling_search.coefficients import NAMED, read_coefficients
from scaling_search.commands.options import add_baseline
from scaling_search.points.scalable import SpecBaseline
from training.given import DEFAULT, next_command, source_of


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("scaling_search family", "Write a family's members, each at its realised cost.")
    made.add_argument(
        "--coefficients",
        default="paper",
        help="coefficients.json of a run, three numbers, or one of "
        f"{', '.join(NAMED)} (docs/choosing.md)",
    )
    made.add_argument(
        "--max-resolution",
        type=count,
        metavar="PIXELS",
        help="no member's input is larger; from there on depth and width grow in their proportions",
    )
    add_baseline(made)
    made.add_argument(
        "--phi",
        default=",".join(f"{phi:g}" for phi in family.PHIS),
        help="steps, separated by commas; negative ones shrink",
    )
    made.add_argument("--targets", help="FLOPs in place of --phi: 1x,2x,4x or 400M,800M")
    made.add_argument("--batch", type=count, default=family.BATCH, help="for the memory estimate")
    made.add_argument(
        "--weights",
        type=place,
        metavar="PARENT",
        help="also write each member's weights, inherited from a run that ended with weights, such "
        "as that of --baseline, or from a family with published ones",
    )
    made.add_argument(
        "--onnx",
        action="store_true",
        help="also write each member as ONNX, with fresh weights; needs the extra onnx",
    )
    made.add_argument("--out", type=path, default=Path("family"), help="directory to write")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Write every member at its realised cost, and print a line on each."""
    args = options().parse_args(_joined(sys.argv[1:] if argv is None else argv))
    check_directory(args.out)
    spec = choose(args.baseline)
    baseline = SpecBaseline(spec, args.depth_rounding, args.max_resolution)
    chosen = read_coefficients(args.coefficients)
    phis = _numbers(args.phi)
    if args.targets:
        targets = [parse_target(text, cost(spec).macs) for text in args.targets.split(",")]
        phis = family.phis_of(baseline, chosen, targets)
    members = family.members(baseline, chosen, phis, batch=args.batch)
    for file, member in zip(family.write(args.out, members), members, strict=True):
        print(f"{file}  {_line(member)}")
        if args.weights:
            _write_weights(args.weights, member.spec, file.with_suffix(".safetensors"))
        if args.onnx:
            _write_onnx(member.spec, file.with_suffix(".onnx"))
    source = source_of(Path(args.baseline)) if Path(args.baseline).is_dir() else None
    further = next_command("training", "--spec", file, data=source or DEFAULT)
    print(f"next: {further}", file=sys.stderr)


def _line(member: family.Member) -> str:
    """What a member costs, how it is scaled and regularised."""
    from scaling_search.summary import product  # with scipy, which --help need not wait for

    counted = ", ".join(
        f"{format_size(member.cost[count])} {name}"
        for count, name in (
            ("macs", "FLOPs"),
            ("params", "parameters"),
            ("activations", "activations"),
        )
    )
    memory = (
        ""
        if member.memory is None
        else (f"; training takes about {member.memory / 2**30:.1f} GiB at batch {member.batch}")
    )
    rates = f"dropout {member.spec.dropout:g}, stochastic depth {member.spec.drop_path:g}"
    return (
        f"{counted}; depth × width × resolution {product(member.point.realised)}; {rates}{memory}"
    )


def _write_weights(source: str, spec: ArchSpec, path: Path) -> None:
    from models.inherit import inheritance
    from training.transfer.parent import Parent, keep
    from training.transfer.sources import open_parent

    parent = open_parent(source)
    own = replace(spec, classes=parent.spec.classes, in_channels=parent.spec.in_channels)
    found = inheritance(parent.spec, parent.weights, own)
    keep(Parent(own.name, own, found.weights, parent.moments), path)
    shares = ", ".join(f"{part} {share:.0%}" for part, share in found.shares.items())
    print(f"{path}  inherited from {parent.name}: {shares}")


def _write_onnx(spec: ArchSpec, path: Path) -> None:
    from models.deploy.export import export

    export(spec, path, "onnx")
    print(path)


def _joined(argv: Sequence[str]) -> list[str]:
    """argparse takes "-1,0" for an option: "--phi -1,0" becomes "--phi=-1,0"."""
    found: list[str] = []
    for word in argv:
        if found and found[-1] == "--phi":
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{text!r:.80} is no list of numbers such as 0,0.5,1,2") from None

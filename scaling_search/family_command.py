"""``python -m scaling_search family``: a family's members, without any training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.choose import choose
from models.command import count, parser
from models.cost import cost
from models.sizes import format_size, parse_target
from models.spec import ArchSpec
from scaling_search import family
from scaling_search.coefficients import PAPER, read_coefficients
from scaling_search.options import add_baseline
from scaling_search.scalable import SpecBaseline


def main(argv: Sequence[str] | None = None) -> None:
    """Write every member at its realised cost, and print a line on each."""
    made = parser("scaling_search family", "Write a family's members, each at its realised cost.")
    made.add_argument("--coefficients", default=f"{PAPER.alpha},{PAPER.beta},{PAPER.gamma}",
                      help="coefficients.json of a run, or three numbers")  # fmt: skip
    add_baseline(made)
    made.add_argument("--phi", default=",".join(f"{phi:g}" for phi in family.PHIS),
                      help="steps, separated by commas; negative ones shrink")  # fmt: skip
    made.add_argument("--targets", help="FLOPs in place of --phi: 1x,2x,4x or 400M,800M")
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

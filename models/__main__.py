"""``python -m models``: the networks to start from: list, show, cost, export."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from common.command import Formatter, count, parser, path, place, run
from common.paths import check_file
from common.units import format_size
from models.choose import choose
from models.cost import cost
from models.deploy.export import FORMATS, export
from models.deploy.preprocessing import FILE_NAME as PREPROCESSING
from models.deploy.preprocessing import WEIGHTS, read_preprocessing
from models.describe import stages
from models.families import family, names
from models.spec import ArchSpec

if TYPE_CHECKING:
    from torch import nn

NAME = "a family such as efficientnet-b0, a spec file, a family's member or a run directory"


def options() -> argparse.ArgumentParser:
    """The options of every subcommand."""
    made = parser("models", "The networks to start from.")
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, act: Callable[[argparse.Namespace], None], about: str) -> _Command:
        one = commands.add_parser(name, help=about, description=about, formatter_class=Formatter)
        one.set_defaults(act=act)
        return one

    command("list", _list, "every named network, at its own resolution")
    command("show", _show, "a network stage by stage").add_argument("name", type=place, help=NAME)
    one = command("cost", _cost, "what one image costs")
    one.add_argument("name", type=place, help=NAME)
    one.add_argument("--resolution", type=count, help="pixels; default: the network's own")
    _export_options(command("export", _export, "a network as ONNX, torch.export archive or JSON"))
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """List, show, cost or export networks."""
    args = options().parse_args(argv)
    args.act(args)


_Command = argparse.ArgumentParser


def _export_options(one: _Command) -> None:
    one.add_argument("name", type=place, help=NAME)
    one.add_argument("--to", choices=FORMATS, required=True, help="onnx needs the extra [onnx]")
    one.add_argument("--out", type=path, required=True, help="the file to write")
    one.add_argument(
        "--weights",
        type=place,
        help="a safetensors file, of python -m training or with torchvision's names, or "
        "`pretrained`: the family's published ones; default: the run's own, else random",
    )
    one.add_argument(
        "--with-preprocessing",
        action="store_true",
        help="of a run of training: pixels (uint8) in, probabilities out",
    )
    one.add_argument("--seed", type=int, default=0, help="of the random weights")


def _list(_: argparse.Namespace) -> None:
    rows = []
    for name in names():
        spec = family(name)
        found = cost(spec)
        rows.append(
            [
                name,
                str(spec.resolution),
                format_size(found.macs),
                format_size(found.params),
                format_size(found.fvcore),
            ]
        )
    _print(["network", "pixels", "FLOPs", "parameters", "fvcore total"], rows)
    print(
        "\nMultipliers in a name: mobilenet-v1-ALPHA-PIXELS, mobilenet-v2-WIDTH-PIXELS, "
        "rexnet-WIDTH; for example mobilenet-v1-0.75-192."
    )


def _show(args: argparse.Namespace) -> None:
    spec = choose(args.name)
    found = stages(spec)
    total = cost(spec)
    rows = [
        [
            str(i),
            row.operator,
            f"{row.resolution}×{row.resolution}",
            str(row.channels),
            str(row.layers),
            format_size(row.macs),
            format_size(row.params),
        ]
        for i, row in enumerate(found, 1)
    ]
    layers = str(sum(row.layers for row in found))
    rows.append(["", "total", "", "", layers, format_size(total.macs), format_size(total.params)])
    print(f"{spec.name} ({spec.key})")
    head = ["stage", "operator", "resolution", "channels", "layers", "FLOPs", "parameters"]
    _print(head, rows, texts=(1,))


def _cost(args: argparse.Namespace) -> None:
    spec = choose(args.name)
    if args.resolution:
        spec = replace(spec, resolution=args.resolution)
    found = cost(spec)
    print(f"{spec.name} at {spec.resolution} pixels, one image")
    about = {
        "FLOPs": (found.macs, "multiply-adds of convolution and linear layers"),
        "parameters": (found.params, "learnable"),
        "activations": (found.activations, "elements that those layers put out"),
        "fvcore total": (found.fvcore, "FLOPs with batch norm and pooling, as fvcore counts"),
    }
    rows = [[name, format_size(size), f"{size:,}", text] for name, (size, text) in about.items()]
    _print([], rows, texts=(0, 3))


def _export(args: argparse.Namespace) -> None:
    check_file(args.out)
    spec, run = choose(args.name), Path(args.name)
    expects = read_preprocessing(run) if (run / PREPROCESSING).is_file() else None
    if args.weights is None and (run / WEIGHTS).is_file():
        args.weights = str(run / WEIGHTS)
    if args.to == "json":
        export(spec, args.out, args.to)
    else:
        export(
            spec,
            args.out,
            args.to,
            _module(spec, args),
            expects=expects,
            inside=args.with_preprocessing,
        )
    print(args.out)


def _module(spec: ArchSpec, args: argparse.Namespace) -> nn.Module:
    import torch

    from models.build import build
    from models.pretrained import load_weights, read_weights

    torch.manual_seed(args.seed)
    module = build(spec)
    if args.weights:
        load_weights(module, read_weights(args.weights, spec.name))
    return module


def _print(head: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[int] = (0,)) -> None:
    """Aligned columns: those in ``texts`` to the left, numbers to the right."""
    lines = [head, *rows] if head else list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.ljust(width) if i in texts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    sys.exit(run(main))

"""The run of ``python -m reports ranks``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from common.bars import tqdm
from common.paths import check_directory
from models.build import build
from models.spec import ArchSpec
from reports.ranks.blocks import BLOCKS
from reports.ranks.layers import Layer, layers
from reports.ranks.rank import TOLERANCES, check_tolerance
from reports.ranks.rules import RULES, claims, verdict
from reports.ranks.study import Ranks, study
from training.data import Data, load
from training.given import settle_pictures
from training.loop.augment import to_float
from training.transfer.parent import BATCH, of_data
from training.transfer.sources import open_parent

LARGEST = 224  # pixels, unless told otherwise
PICTURES = 256  # on which a trained network's layers are measured, unless told otherwise


def go(args: argparse.Namespace) -> None:
    """Print the table; write it and a picture where asked."""
    check_tolerance(args.tolerance)
    tolerances = tuple(sorted({*TOLERANCES, args.tolerance}, reverse=True))
    if args.out:
        check_directory(args.out)  # before the minute of counting
    if args.weights:
        _trained(args, tolerances)
    else:
        _random(args, tolerances)


def _random(args: argparse.Namespace, tolerances: tuple[float, ...]) -> None:
    watch = tqdm(BLOCKS, file=sys.stderr, leave=False, disable=None, unit="block")
    found = study(args.networks, args.seed, tolerances, watch)
    print(_curve_table(found, args.tolerance))
    print(_rule_table(found, args.tolerance))
    if args.out:
        from reports.ranks.figures import curves  # matplotlib: a second at start-up

        found.table().to_csv(args.out / "ranks.csv", index=False)
        drawn = sorted({max(tolerances), args.tolerance, 1e-4}, reverse=True)
        curves(args.out / "ranks.png", found, drawn)
        print(args.out / "ranks.png", file=sys.stderr)


def _curve_table(found: Ranks, tolerance: float) -> str:
    """Mean rank ratios in Markdown."""
    table = found.table()
    own = table[table.tolerance == tolerance]
    lines = [
        f"Mean rank / channels out, {found.networks} networks a block, tolerance {tolerance:g}",
        "",
        _line(["block", "nonlinearity", *(f"{ratio:.3g}" for ratio in found.ratios)]),
        _line(["---", "---", *["---:"] * len(found.ratios)]),
    ]
    for (block, f), rows in own.groupby(["block", "nonlinearity"], sort=False):
        lines.append(_line([str(block), str(f), *(f"{mean:.2f}" for mean in rows["mean"])]))
    return "\n".join([*lines, ""])


def _rule_table(found: Ranks, tolerance: float) -> str:
    """Each rule's verdict at every tolerance, and its inequalities at the one that is printed."""
    head = ["rule", *(f"{one:g}" for one in found.tolerances)]
    lines = ["Design rules, by tolerance", "", _line(head), _line(["---"] * len(head))]
    at = {one: claims(found, one) for one in found.tolerances}
    for rule, says in RULES.items():
        lines.append(_line([says, *(verdict(rule, told) for told in at.values())]))
    lines += ["", f"Inequalities at {tolerance:g}: difference and its 90 % interval", ""]
    for one in at[tolerance]:
        between = f"{one.difference:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
        lines.append(f"- {one.rule}: {one.says}: {between}, {one.verdict}")
    return "\n".join(lines)


def _trained(args: argparse.Namespace, tolerances: tuple[float, ...]) -> None:
    parent = open_parent(args.weights)
    data = _data(args, parent.spec)
    own = of_data(parent, data)
    side = args.resolution or data.size
    pictures = to_float(data.validation.images[: args.images], side, data.mean, data.std)
    networks = {"trained": own.network, "fresh weights": _fresh(own.spec, pictures, args.seed)}
    told = {
        label: layers(network, pictures.contiguous(memory_format=torch.channels_last), tolerances)
        for label, network in networks.items()
    }
    print(f"{parent.name} on {len(pictures)} pictures of {data.name}, {side} pixels\n")
    _say_left_out(told["trained"])
    print(_layer_table(told, tolerances.index(args.tolerance), args.tolerance))
    if args.out:
        from reports.ranks.figures import depth

        _layer_frame(told, tolerances).to_csv(args.out / "layers.csv", index=False)
        at, says = tolerances.index(args.tolerance), f"tolerance {args.tolerance:g}"
        depth(args.out / "layers.png", told, at, says)
        print(args.out / "layers.png", file=sys.stderr)


def _data(args: argparse.Namespace, spec: ArchSpec) -> Data:
    settle_pictures(args, args.weights)
    side = args.resolution or min(LARGEST, spec.resolution)
    return load(args.data, size=side, images=PICTURES)  # no more need be decoded for training


def _say_left_out(layers: Sequence[Layer]) -> None:
    left = [one.name for one in layers if not one.measured]
    if left:
        print(
            f"left out: {len(left)} of {len(layers)} convolutions, first {left[0]}, have no more "
            "pixels than channels: give more --images or a higher --resolution",
            file=sys.stderr,
        )


@torch.no_grad()
def _fresh(spec: ArchSpec, pictures: Tensor, seed: int) -> nn.Module:
    """The same network with random weights, its batch norms at what the pictures are like."""
    torch.manual_seed(seed)
    network = build(spec).to(memory_format=torch.channels_last).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    for some in torch.split(pictures, BATCH):
        network(some)
    return network


def _layer_table(told: Mapping[str, Sequence[Layer]], at: int, tolerance: float) -> str:
    """One row a convolution, and the means of each kind of them, in Markdown."""
    head = ["convolution", "kind", "in", "out", "in/out", *told]
    lines = [f"rank / channels out, tolerance {tolerance:g}", "", _line(head)]
    lines.append(_line(["---", "---", *["---:"] * (len(head) - 2)]))
    for rows in zip(*told.values(), strict=True):
        one = rows[0]
        facts = [one.name, one.kind, str(one.channels_in), str(one.channels_out)]
        ratios = [f"{row.ratios[at]:.3f}" if row.measured else "–" for row in rows]
        lines.append(_line([*facts, f"{one.dimension_ratio:.2f}", *ratios]))
    for kind in dict.fromkeys(one.kind for one in next(iter(told.values()))):
        own = [
            [row.ratios[at] for row in rows if row.kind == kind and row.measured]
            for rows in told.values()
        ]
        means = [f"{sum(values) / len(values):.3f}" if values else "–" for values in own]
        lines.append(_line([f"mean of {len(own[0])}", kind, "", "", "", *means]))
    return "\n".join(lines)


def _layer_frame(
    told: Mapping[str, Sequence[Layer]], tolerances: tuple[float, ...]
) -> pd.DataFrame:
    """One row a version of the network, convolution and tolerance."""
    return pd.DataFrame(
        {
            "weights": label,
            "convolution": one.name,
            "kind": one.kind,
            "channels_in": one.channels_in,
            "channels_out": one.channels_out,
            "columns": one.columns,
            "tolerance": tolerance,
            "rank_ratio": ratio,
        }
        for label, rows in told.items()
        for one in rows
        for tolerance, ratio in zip(tolerances, one.ratios, strict=True)
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"

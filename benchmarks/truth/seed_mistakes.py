"""What the mistakes of a widely copied PyTorch port of EfficientNet cost, by measurement.

``python -m benchmarks.truth.seed_mistakes`` prints the tables of docs/networks.md. The port's rules
are applied to specs, one at a time and all together; its 3×3 expansion, which no spec describes, is
put into the built network, which is counted on the meta device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from torch import nn

from benchmarks.truth.ladders import ALPHA as DEPTH_BASE
from benchmarks.truth.ladders import B0, BETA, line
from common.units import format_size
from models.build import build
from models.cost import cost
from models.families import EFFICIENTNET_MULTIPLIERS, family
from models.reference.count import count_on_meta
from models.scale import round_channels, scale
from models.spec import ArchSpec

PHIS = {"b0": 0, "b1": 0.5, "b2": 1, "b3": 2, "b4": 3, "b5": 4, "b6": 5, "b7": 6}
SHOWN = ("b0", "b1", "b4", "b7")

Rule = Callable[[int, float], int]


def port(
    version: str,
    stem: Rule = round_channels,
    stages: Rule = round_channels,
    head: Rule = round_channels,
) -> ArchSpec:
    """B0 at the port's multipliers and listed pixels, with these rules of rounding channels."""
    phi = PHIS[version]
    width = BETA**phi
    spec = scale(B0, depth=DEPTH_BASE**phi)
    plain = [stage.widths[0] for stage in B0.stages]
    return replace(
        spec,
        stem=replace(spec.stem, channels=stem(32, width)),
        stages=tuple(
            replace(stage, channels=stages(channels, width))
            for stage, channels in zip(spec.stages, plain, strict=True)
        ),
        head=head(1280, width),
        resolution=EFFICIENTNET_MULTIPLIERS[f"efficientnet-{version}"][2],
    )


def stem_rule(channels: int, width: float) -> int:
    """The port's: downwards, to no multiple."""
    return int(channels * width)


def stage_rule(channels: int, width: float) -> int:
    """The port's: up to a multiple of 4."""
    return 4 * math.ceil(int(channels * width) / 4)


def head_rule(channels: int, width: float) -> int:
    """The port's: upwards, to no multiple."""
    return math.ceil(channels * width)


def all_rules(version: str) -> ArchSpec:
    return port(version, stem_rule, stage_rule, head_rule)


def wide_expansion(spec: ArchSpec) -> nn.Module:
    """The built network with the port's 3×3 kernels in the expanding convolutions."""
    network = build(spec)
    for parent in list(network.modules()):
        for name, conv in parent.named_children():
            if isinstance(conv, nn.Conv2d) and conv.out_channels == 6 * conv.in_channels:
                three = nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=1, bias=False)
                setattr(parent, name, three)
    return network


def sizes(spec: ArchSpec) -> str:
    found = cost(spec)
    return f"{format_size(found.params)}, {format_size(found.macs)}"


def sizes_of_wide(spec: ArchSpec) -> str:
    found = count_on_meta(lambda: wide_expansion(spec), spec.resolution)
    return f"{format_size(found.params)}, {format_size(found.macs)}"


def main() -> None:
    """Print the tables: parameters, FLOPs."""
    rows: dict[str, Callable[[str], str]] = {
        "released network": lambda v: sizes(family(f"efficientnet-{v}")),
        "the port as it is": lambda v: sizes_of_wide(all_rules(v)),
        "the released network with a 3×3 expansion": lambda v: sizes_of_wide(
            family(f"efficientnet-{v}")
        ),
        "the port with a 1×1 expansion": lambda v: sizes(all_rules(v)),
        "powers for multipliers, released rounding": lambda v: sizes(port(v)),
        "… with the port's stem": lambda v: sizes(port(v, stem=stem_rule)),
        "… with the port's stages": lambda v: sizes(port(v, stages=stage_rule)),
        "… with the port's head": lambda v: sizes(port(v, head=head_rule)),
        "released network at 224 pixels": lambda v: sizes(
            replace(family(f"efficientnet-{v}"), resolution=224)
        ),
    }
    line("variant", *(version.upper() for version in SHOWN))
    line("---", *["---:"] * len(SHOWN))
    for name, measure in rows.items():
        line(name, *(measure(version) for version in SHOWN))
    print()
    channels()
    print()
    survival()


def channels() -> None:
    """Stem, stages and head of the port and of the same multipliers rounded as released."""
    line("network", "the port", "released rounding")
    line(*["---"] * 3)
    for version in SHOWN:
        line(version.upper(), widths(all_rules(version)), widths(port(version)))


def widths(spec: ArchSpec) -> str:
    stages = (stage.widths[0] for stage in spec.stages)
    return " ".join(map(str, (spec.stem.channels, *stages, spec.head)))


def survival() -> None:
    """Chance of a residual branch to be kept in a training step."""
    line("network", "residual blocks", "first kept", "last kept", "kept on average", "the port's")
    line("---", *["---:"] * 5)
    for version in SHOWN:
        spec = family(f"efficientnet-{version}")
        kept = keeps(spec)
        line(
            version.upper(),
            len(kept),
            f"{kept[0]:.3f}",
            f"{kept[-1]:.3f}",
            f"{sum(kept) / len(kept):.3f}",
            "0.800",
        )


def keeps(spec: ArchSpec) -> list[float]:
    """1 - 0.2·i/n of each block i that has a skip connection."""
    blocks = sum(stage.layers for stage in spec.stages)
    kept, block, cin = [], 0, spec.stem.channels
    for stage in spec.stages:
        for index, cout in enumerate(stage.widths):
            if (stage.stride == 1 or index) and cin == cout:
                kept.append(1 - spec.drop_path * block / blocks)
            block, cin = block + 1, cout
    return kept


if __name__ == "__main__":
    main()

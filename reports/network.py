"""A network stage by stage: the shape of the EfficientNet paper's Table 1."""

from __future__ import annotations

import pandas as pd

from models.cost import parts
from models.sizes import format_size
from models.spec import ArchSpec, StageSpec


def stage_table(spec: ArchSpec) -> pd.DataFrame:
    """One row for the stem, each stage and the head.

    Columns: operator, resolution (side of the input map in pixels), channels, layers, macs,
    params.
    """
    rows = []
    side = spec.resolution
    labels = [_stem(spec), *(operator(stage) for stage in spec.stages), _head(spec)]
    layers = [1, *(stage.layers for stage in spec.stages), 1]
    for label, count, part in zip(labels, layers, parts(spec), strict=True):
        rows.append((label, f"{side}×{side}", part.channels, count, part.cost.macs,
                     part.cost.params))  # fmt: skip
        side = part.side
    columns = ["operator", "resolution", "channels", "layers", "macs", "params"]
    return pd.DataFrame(rows, columns=columns)


def readable(table: pd.DataFrame) -> list[list[str]]:
    """The rows with sizes as people read them."""
    return [
        [*(str(cell) for cell in row[:4]), format_size(row[4]), format_size(row[5])]
        for row in table.itertuples(index=False)
    ]


def operator(stage: StageSpec) -> str:
    """As the papers write it: ``MBConv6, k5×5, SE 0.25``."""
    names = {"mbconv": f"MBConv{stage.expansion:g}", "rexnet": f"ReXNet block {stage.expansion:g}",
             "conv": "Conv", "dsconv": "Depthwise separable", "basic": "Basic block",
             "bottleneck": "Bottleneck", "convnext": "ConvNeXt block"}  # fmt: skip
    words = [names[stage.block], f"k{stage.kernel}×{stage.kernel}"]
    if stage.se:
        words.append(f"SE {stage.se:.3g}")
    if stage.groups > 1:
        words.append(f"{stage.groups} groups")
    if stage.skip != "identity":
        words.append("no skip" if stage.skip == "none" else f"{stage.skip} skip")
    if stage.stride > 1:
        words.append(f"stride {stage.stride}")
    return ", ".join(words)


def _stem(spec: ArchSpec) -> str:
    pool = ", max pool" if spec.stem.pool else ""
    return f"Conv, k{spec.stem.kernel}×{spec.stem.kernel}, stride {spec.stem.stride}{pool}"


def _head(spec: ArchSpec) -> str:
    return f"Conv 1×1 ({spec.head}), pool, linear" if spec.head else "pool, linear"

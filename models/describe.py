"""A network stage by stage: the shape of the EfficientNet paper's Table 1."""

from __future__ import annotations

from typing import NamedTuple

from models.cost import parts
from models.spec import ArchSpec, StageSpec


class Stage(NamedTuple):
    """The stem, a stage or the head.

    resolution  side of the input map in pixels
    channels    of the output; of the last layer where they differ within the stage
    macs        multiply-adds of one image (see ``models.cost``)
    """

    operator: str
    resolution: int
    channels: int
    layers: int
    macs: int
    params: int


def stages(spec: ArchSpec) -> list[Stage]:
    """The network from the stem to the head.

    Raises ValueError where the resolution is too small for the network's strides.
    """
    labels = [_stem(spec), *(operator(stage) for stage in spec.stages), _head(spec)]
    layers = [1, *(stage.layers for stage in spec.stages), 1]
    rows, side = [], spec.resolution
    for label, count, part in zip(labels, layers, parts(spec), strict=True):
        rows.append(Stage(label, side, part.channels, count, part.cost.macs, part.cost.params))
        side = part.side
    return rows


def operator(stage: StageSpec) -> str:
    """As the papers write it: ``MBConv6, k5×5, SE 0.25``."""
    names = {
        "mbconv": f"MBConv{stage.expansion:g}",
        "rexnet": f"ReXNet block {stage.expansion:g}",
        "conv": "Conv",
        "projection": "Projection",
        "dsconv": "Depthwise separable",
        "basic": "Basic block",
        "bottleneck": "Bottleneck",
        "convnext": "ConvNeXt block",
    }
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

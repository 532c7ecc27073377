"""Scaling a spec in depth, width and resolution: every rounding rule, with its source.

Always scale the baseline: scaling twice compounds the rounding.
"""

from __future__ import annotations

import math
from dataclasses import replace

from common.plain import plain
from models.spec import MAX_RESOLUTION, ArchSpec, StageSpec, round_half_up

DEPTH_ROUNDINGS = ("ceil", "nearest")
ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15  # of depth, width, resolution: arXiv:1905.11946, section 3.3
PHIS = tuple(step / 50 for step in range(-500, 301))


def scale(
    spec: ArchSpec,
    depth: float = 1.0,
    width: float = 1.0,
    resolution: float = 1.0,
    *,
    depth_rounding: str = "ceil",
    name: str | None = None,
) -> ArchSpec:
    """``spec`` with its layers, channels and input side multiplied.

    Channels of the stem, of every stage and of the head go through ``round_channels``, layers
    through ``round_layers``, the side to the nearest pixel (EfficientNet, arXiv:1905.11946,
    section 3.3 and its code). Multipliers below 1 shrink: MobileNet's α and ρ. A multiplier of
    exactly 1 changes nothing, whatever the rounding. Projections keep their number of layers:
    several linear layers are no deeper than one.

    Raises ValueError for a multiplier that is not a positive number, or an unknown rounding.
    """
    depth, width, resolution = plain(depth), plain(width), plain(resolution)
    for what, value in (("depth", depth), ("width", width), ("resolution", resolution)):
        if not 0 < value < 1000:
            raise ValueError(f"the {what} multiplier {value} is not a number between 0 and 1000")
    side = max(1, round_half_up(spec.resolution * resolution))
    if side > MAX_RESOLUTION:
        raise ValueError(f"resolution {side} is over {MAX_RESOLUTION}: lower the multiplier")
    stem = replace(spec.stem, channels=round_channels(spec.stem.channels, width, spec.divisor))
    stages, before = [], spec.stem.channels
    for stage in spec.stages:
        deeper = 1.0 if stage.block == "projection" else depth
        layers = round_layers(stage.layers, deeper, depth_rounding)
        stages.append(_scaled(stage, layers, width, before, spec.divisor))
        before = stage.widths[-1]
    return replace(
        spec,
        name=name or spec.name,
        stem=stem,
        stages=tuple(stages),
        head=round_channels(spec.head, width, spec.divisor) if spec.head else 0,
        resolution=side,
    )


def compound(spec: ArchSpec, phi: float, *, pixels: bool = True) -> ArchSpec:
    """``spec`` scaled by EfficientNet's rule: α^φ times as deep, β^φ as wide and, with ``pixels``,
    γ^φ at a side. Rounding keeps the order: of a greater φ nothing is smaller, nor cheaper, unless
    widths within a stage rise and then fall: the course through more layers misses their peak.
    """
    return scale(spec, ALPHA**phi, BETA**phi, GAMMA**phi if pixels else 1.0)


def round_channels(channels: int, width: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` nearest to channels·width, never below 90 % of it.

    EfficientNet's ``round_filters``, the same in MobileNetV2's, torchvision's and timm's code.
    The least result is ``divisor``.
    """
    return channels if width == 1 else _to_multiple(channels * width, divisor)


def _to_multiple(exact: float, divisor: int) -> int:
    rounded = max(divisor, int(exact + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * exact else rounded


def round_layers(layers: int, depth: float, rounding: str = "ceil") -> int:
    """Layers·depth rounded up (EfficientNet's code) or to the nearest; at least 1."""
    # 1.1 * 10 is 11.000000000000002 in floating point, and must not become 12 layers.
    exact = round(layers * depth, 9)
    if rounding == "ceil":
        return max(1, math.ceil(exact))
    if rounding == "nearest":
        return max(1, round_half_up(exact))
    raise ValueError(
        f"depth rounding {rounding!r} is unknown: choose one of {', '.join(DEPTH_ROUNDINGS)}"
    )


def _scaled(stage: StageSpec, layers: int, width: float, before: int, divisor: int) -> StageSpec:
    divisor = stage_divisor(stage, divisor)
    if not isinstance(stage.channels, tuple):
        channels = round_channels(stage.channels, width, divisor)
        return replace(stage, layers=layers, channels=channels)
    if layers == stage.layers:
        widths = tuple(round_channels(channels, width, divisor) for channels in stage.channels)
    else:
        # Widths that grow layer by layer (ReXNet) keep their course when layers are added: the
        # line through (0, the stage's input) and (i/n, its i-th width), read at i/m.
        course = (before, *stage.channels)
        widths = tuple(
            _to_multiple(width * _interpolate(course, i / layers), divisor)
            for i in range(1, layers + 1)
        )
    return replace(stage, layers=layers, channels=widths)


def stage_divisor(stage: StageSpec, divisor: int) -> int:
    """The least multiple of ``divisor`` at which the hidden width splits into the groups."""
    if stage.groups == 1:
        return divisor
    return math.lcm(divisor, max(1, round_half_up(stage.groups / stage.expansion)))


def _interpolate(course: tuple[int, ...], at: float) -> float:
    """The polyline through equally spaced points of ``course``, at 0 ≤ at ≤ 1."""
    place = at * (len(course) - 1)
    index = min(int(place), len(course) - 2)
    share = place - index
    return course[index] * (1 - share) + course[index + 1] * share

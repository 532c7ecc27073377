"""Named networks and the published multiplier tables, each citing its source.

A name with a trailing width multiplier (``mobilenet-v2-1.4``, ``rexnet-0.9``) or, for MobileNetV1,
a width and a resolution (``mobilenet-v1-0.75-192``) is computed by the family's own rule.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from models.scale import round_channels, scale
from models.spec import ArchSpec, StageSpec, Stem


def family(name: str) -> ArchSpec:
    """The network of that name.

    Raises ValueError, naming the nearest known names, for any other.
    """
    if name in _NAMED:
        return replace(_NAMED[name](), name=name)
    for prefix, rule in _RULES.items():
        if name.startswith(prefix + "-"):
            try:
                numbers = [float(part) for part in name[len(prefix) + 1 :].split("-")]
                return replace(rule(*numbers), name=name)
            except (TypeError, ValueError, ArithmeticError):
                break
    near = difflib.get_close_matches(name, names(), n=3, cutoff=0.3) or names()[:3]
    raise ValueError(
        f"{name!r:.80} is no known network: did you mean {', '.join(near)}? "
        "`python -m models list` shows them all"
    )


def names() -> list[str]:
    """Every fixed name; multipliers in a name reach more."""
    return sorted(_NAMED)


# EfficientNet (arXiv:1905.11946, Table 1), its SE ratio and dropout from the released code. MBConv1
# is expansion 1, MBConv6 expansion 6. The batch norm's epsilon is 1e-5 up to B4 and 1e-3 from B5
# on, as in torchvision, so that its published weights give its outputs; TensorFlow's code has 1e-3
# and momentum 0.99 throughout.
_B0 = ArchSpec(
    name="efficientnet-b0",
    stem=Stem(32),
    stages=(
        StageSpec("mbconv", 1, 16, 3, 1, 1, se=0.25),
        StageSpec("mbconv", 2, 24, 3, 2, 6, se=0.25),
        StageSpec("mbconv", 2, 40, 5, 2, 6, se=0.25),
        StageSpec("mbconv", 3, 80, 3, 2, 6, se=0.25),
        StageSpec("mbconv", 3, 112, 5, 1, 6, se=0.25),
        StageSpec("mbconv", 4, 192, 5, 2, 6, se=0.25),
        StageSpec("mbconv", 1, 320, 3, 1, 6, se=0.25),
    ),
    head=1280,
    activation="silu",
    dropout=0.2,
    drop_path=0.2,
)

# (width, depth, resolution, dropout) of the released B0–B7: ``efficientnet_params`` of the
# released code. They are a table, not powers of α, β, γ; for those scale ``efficientnet-b0``.
EFFICIENTNET_MULTIPLIERS = {
    "efficientnet-b0": (1.0, 1.0, 224, 0.2),
    "efficientnet-b1": (1.0, 1.1, 240, 0.2),
    "efficientnet-b2": (1.1, 1.2, 260, 0.3),
    "efficientnet-b3": (1.2, 1.4, 300, 0.3),
    "efficientnet-b4": (1.4, 1.8, 380, 0.4),
    "efficientnet-b5": (1.6, 2.2, 456, 0.4),
    "efficientnet-b6": (1.8, 2.6, 528, 0.5),
    "efficientnet-b7": (2.0, 3.1, 600, 0.5),
}


def _efficientnet(name: str) -> ArchSpec:
    width, depth, resolution, dropout = EFFICIENTNET_MULTIPLIERS[name]
    eps = 1e-3 if width >= 1.6 else 1e-5
    scaled = scale(_B0, depth=depth, width=width)
    return replace(scaled, resolution=resolution, dropout=dropout, norm_eps=eps)


# EfficientNet-Lite's (``efficientnet_lite_params`` of tensorflow/tpu, models/official/efficientnet/
# lite/efficientnet_lite_builder.py).
EFFICIENTNET_LITE_MULTIPLIERS = {
    "efficientnet-lite0": (1.0, 1.0, 224, 0.2),
    "efficientnet-lite1": (1.0, 1.1, 240, 0.2),
    "efficientnet-lite2": (1.1, 1.2, 260, 0.3),
    "efficientnet-lite3": (1.2, 1.4, 280, 0.3),
    "efficientnet-lite4": (1.4, 1.8, 300, 0.3),
}


def _efficientnet_lite(name: str) -> ArchSpec:
    """B0 without SE and with ReLU6, for small devices (the same code, ``fix_head_stem``).

    The stem and the head keep their channels, the first and the last stage their layers. The
    epsilon is that code's, with which the published weights were trained.
    """
    width, depth, resolution, dropout = EFFICIENTNET_LITE_MULTIPLIERS[name]
    scaled = scale(_B0, depth=depth, width=width)
    first, *between, last = (replace(stage, se=0) for stage in scaled.stages)
    first = replace(first, layers=_B0.stages[0].layers)
    last = replace(last, layers=_B0.stages[-1].layers)
    return replace(
        scaled,
        stem=_B0.stem,
        stages=(first, *between, last),
        head=_B0.head,
        resolution=resolution,
        activation="relu6",
        dropout=dropout,
        norm_eps=1e-3,
    )


def _mobilenet_v1(alpha: float = 1.0, resolution: float = 224) -> ArchSpec:
    """MobileNetV1 (arXiv:1704.04861, Table 1); α thins it, ρ is the given resolution / 224."""
    blocks = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 2, 6), (1024, 2, 2))
    spec = ArchSpec(
        name="mobilenet-v1",
        stem=Stem(32),
        stages=tuple(
            StageSpec("dsconv", layers, channels, stride=stride, skip="none")
            for channels, stride, layers in blocks
        ),
    )
    return replace(scale(spec, width=alpha), resolution=_pixels(resolution))


def _mobilenet_v2(width: float = 1.0, resolution: float = 224) -> ArchSpec:
    """MobileNetV2 (arXiv:1801.04381, Table 2); widths below 1 leave the head at 1280."""
    blocks = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    spec = ArchSpec(
        name="mobilenet-v2",
        stem=Stem(32),
        stages=tuple(StageSpec("mbconv", n, c, 3, s, t) for t, c, n, s in blocks),
        head=1280,
        activation="relu6",
        dropout=0.2,
    )
    head = round_channels(1280, max(1.0, width))
    return replace(scale(spec, width=width), head=head, resolution=_pixels(resolution))


def _mnasnet(
    blocks: tuple[tuple[int, int, int, float, int, float, str], ...], dropout: float
) -> ArchSpec:
    return ArchSpec(
        name="mnasnet",
        stem=Stem(32),
        stages=tuple(
            StageSpec("mbconv", n, c, k, s, e, se=se, skip=skip)
            for n, k, s, e, c, se, skip in blocks
        ),
        head=1280,
        dropout=dropout,
    )


def _mnasnet_a1() -> ArchSpec:
    """MnasNet-A1 (arXiv:1807.11626, Figure 7; block strings of the released code)."""
    blocks = (
        (1, 3, 1, 1, 16, 0, "none"),
        (2, 3, 2, 6, 24, 0, "none"),
        (3, 5, 2, 3, 40, 0.25, "identity"),
        (4, 3, 2, 6, 80, 0, "identity"),
        (2, 3, 1, 6, 112, 0.25, "identity"),
        (3, 5, 2, 6, 160, 0.25, "identity"),
        (1, 3, 1, 6, 320, 0, "identity"),
    )
    return _mnasnet(blocks, 0.2)


def _mnasnet_b1() -> ArchSpec:
    """MnasNet-B1, found without SE in the space (the paper's appendix; released code)."""
    blocks = (
        (1, 3, 1, 1, 16, 0, "none"),
        (3, 3, 2, 3, 24, 0, "identity"),
        (3, 5, 2, 3, 40, 0, "identity"),
        (3, 5, 2, 6, 80, 0, "identity"),
        (2, 3, 1, 6, 96, 0, "identity"),
        (4, 5, 2, 6, 192, 0, "identity"),
        (1, 3, 1, 6, 320, 0, "identity"),
    )
    return _mnasnet(blocks, 0.2)


def _resnet(block: str, layers: tuple[int, ...], expansion: float = 1, groups: int = 1) -> ArchSpec:
    """ResNet (arXiv:1512.03385, Table 1), ResNeXt (1611.05431, Table 1)."""
    first = 64 if block == "basic" else 256
    return ArchSpec(
        name="resnet",
        stem=Stem(64, 7, 2, pool=True),
        stages=tuple(
            StageSpec(block, n, first << i, 3, 1 if i == 0 else 2, expansion, groups=groups)
            for i, n in enumerate(layers)
        ),
    )


def _rexnet(width: float = 1.0) -> ArchSpec:
    """ReXNet (arXiv:2007.00992 and its published code): one width a block, on a line.

    c_i = round(w·(16 + 180·(i - 1)/16)), i = 1…16. Below w = 1 the stem (32) and the first block
    (16) keep their widths and only the increments shrink.
    """
    start = 16 / width if width < 1 else 16.0
    # Python's own round (halves to even), as in the published code: 38.5 becomes 38.
    widths = [round((start + 180 * i / 16) * width) for i in range(16)]
    stages, first = [], 0
    for group, (layers, stride) in enumerate(((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (5, 2))):
        channels = tuple(widths[first : first + layers])
        expansion, se = (1 if group == 0 else 6), (1 / 12 if group > 1 else 0)
        stages.append(
            StageSpec("rexnet", layers, channels, 3, stride, expansion, se=se, skip="partial")
        )
        first += layers
    return ArchSpec(
        name="rexnet",
        stem=Stem(round(32 * max(1.0, width))),
        stages=tuple(stages),
        head=int(1280 * width),
        activation="silu",
        dropout=0.2,
        divisor=1,
    )


def _convnext(layers: tuple[int, ...], channels: int, drop_path: float) -> ArchSpec:
    """ConvNeXt (arXiv:2201.03545, section 2 and Table 9 for the settings)."""
    return ArchSpec(
        name="convnext",
        stem=Stem(channels, 4, 4),
        stages=tuple(
            StageSpec("convnext", n, channels << i, 7, 1 if i == 0 else 2, 4)
            for i, n in enumerate(layers)
        ),
        activation="gelu",
        norm="layer",
        norm_eps=1e-6,
        drop_path=drop_path,
    )


def _pixels(resolution: float) -> int:
    if resolution != int(resolution):
        raise ValueError(f"resolution {resolution} is not a whole number of pixels")
    return int(resolution)


_NAMED: dict[str, Callable[[], ArchSpec]] = {
    **{name: partial(_efficientnet, name) for name in EFFICIENTNET_MULTIPLIERS},
    **{name: partial(_efficientnet_lite, name) for name in EFFICIENTNET_LITE_MULTIPLIERS},
    "mobilenet-v1": _mobilenet_v1,
    "mobilenet-v2": _mobilenet_v2,
    "mnasnet-a1": _mnasnet_a1,
    "mnasnet-b1": _mnasnet_b1,
    "resnet-18": lambda: _resnet("basic", (2, 2, 2, 2)),
    "resnet-34": lambda: _resnet("basic", (3, 4, 6, 3)),
    "resnet-50": lambda: _resnet("bottleneck", (3, 4, 6, 3), 0.25),
    "resnet-101": lambda: _resnet("bottleneck", (3, 4, 23, 3), 0.25),
    "resnet-152": lambda: _resnet("bottleneck", (3, 8, 36, 3), 0.25),
    "resnext-50": lambda: _resnet("bottleneck", (3, 4, 6, 3), 0.5, 32),
    "resnext-101-64x4d": lambda: _resnet("bottleneck", (3, 4, 23, 3), 1, 64),
    "rexnet-1.0": _rexnet,
    "convnext-t": lambda: _convnext((3, 3, 9, 3), 96, 0.1),
    "convnext-s": lambda: _convnext((3, 3, 27, 3), 96, 0.4),
    "convnext-b": lambda: _convnext((3, 3, 27, 3), 128, 0.5),
    "convnext-l": lambda: _convnext((3, 3, 27, 3), 192, 0.5),
    "convnext-xl": lambda: _convnext((3, 3, 27, 3), 256, 0.5),
}
_RULES: dict[str, Callable[..., ArchSpec]] = {
    "mobilenet-v1": _mobilenet_v1,
    "mobilenet-v2": _mobilenet_v2,
    "rexnet": _rexnet,
}

"""Others' names for a network's modules, sorted as the image meets them.

Files list them by the alphabet (safetensors) or as somebody's code happened to make them. Known are
torchvision's names, EfficientNet-PyTorch's, and timm's of EfficientNet, MobileNetV2, MnasNet
(``conv_pwl`` …) and ReXNet (``conv_exp.conv`` …).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LAST = ("classifier", "fc", "_fc", "downsample", "layer_scale")
# EfficientNet-PyTorch's, of the network and of a block. Its names for SE are left out: its networks
# with SE have another epsilon than torchvision's, so that their weights are another network's.
_ORDERED = (
    *("_conv_stem", "_expand_conv", "_bn0", "_blocks"),
    *("_depthwise_conv", "_conv_head", "_bn1", "_project_conv", "_bn2"),
)
# timm's: of the network, of a depthwise separable block, of an inverted bottleneck, of ReXNet's.
_TOP = ("conv_stem", "bn1", "blocks", "conv_head", "bn2", "classifier")
_SEPARABLE = ("conv_dw", "bn1", "se", "conv_pw", "bn2")
_INVERTED = ("conv_pw", "bn1", "conv_dw", "bn2", "se", "conv_pwl", "bn3")
_REXNET = ("stem", "features", "head", "conv_exp", "conv_dw", "se", "conv_pwl")
_WITHIN = ("conv", "fc1", "conv_reduce", "bn", "fc2", "conv_expand", "fc")

Key = list[tuple[int, int, str]]


def in_forward_order(names: Iterable[str]) -> list[str]:
    """The modules' names as the image meets what they name, whatever their order."""
    given = list(names)
    if "conv_stem" in given:
        inverted = {name.rpartition(".")[0] for name in given if name.endswith(".conv_pwl")}
        return sorted(given, key=lambda name: _timm(name, inverted))
    if "stem.conv" in given:
        return sorted(given, key=_timm_rexnet)
    return sorted(given, key=lambda name: [_place(part) for part in name.split(".")])


def _place(part: str) -> tuple[int, int, str]:
    if part in _LAST:
        return (1, 0, part)
    if part in _ORDERED:
        return (0, _ORDERED.index(part), "")
    if match := re.fullmatch(r"(conv|bn)(\d+)", part):  # ResNet: conv1, bn1, conv2, bn2 …
        return (0, 2 * int(match[2]) + (match[1] == "bn"), "")
    if match := re.fullmatch(r"(\D*)(\d+)", part):  # after ResNet's conv1 and bn1
        return (0, 100 + int(match[2]), match[1])
    return (0, 0, part)


def _timm(name: str, inverted: set[str]) -> Key:
    """``inverted`` are the blocks that have an expansion."""
    top, *rest = name.split(".")
    if top != "blocks":
        return [_among(_TOP, top)]
    stage, layer, part, *inner = rest
    inside = _INVERTED if f"blocks.{stage}.{layer}" in inverted else _SEPARABLE
    numbers = [(0, int(stage), ""), (0, int(layer), "")]
    return [
        _among(_TOP, top),
        *numbers,
        _among(inside, part),
        *(_among(_WITHIN, one) for one in inner),
    ]


def _timm_rexnet(name: str) -> Key:
    return [
        (0, int(part), "") if part.isdecimal() else _among(_REXNET + _WITHIN, part)
        for part in name.split(".")
    ]


def _among(known: tuple[str, ...], part: str) -> tuple[int, int, str]:
    """Where ``part`` stands among what is ``known``; what is not stands last."""
    return (0, known.index(part), "") if part in known else (1, 0, part)

"""The spaces by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from models.families import family
from models.scale import round_channels
from models.spec import ArchSpec, StageSpec, Stem
from nas.space.choices import StageChoices, Value
from nas.space.networks import Space, layerwise


def space(name: str) -> Space:
    """The space of that name: ``mnasnet``, ``mbconv`` or ``macro``.

    Raises ValueError for another name.
    """
    if name not in SPACES:
        raise ValueError(f"space {name!r:.60} is unknown: choose one of {', '.join(SPACES)}")
    return SPACES[name]()


# MobileNetV2's (arXiv:1801.04381, Table 2) seven stages: channels, layers, stride.
_MOBILENET_V2 = (
    (16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1),
)  # fmt: skip
_OPERATORS = {
    "conv": ("conv", 1),
    "dconv": ("mbconv", 1),
    "mbconv3": ("mbconv", 3),
    "mbconv6": ("mbconv", 6),
}


def _mnasnet_stage(
    op: str, k: int, se: float, skip: str, c: int, l: int, stride: int  # noqa: E741
) -> StageSpec:  # fmt: skip
    block, expansion = _OPERATORS[op]
    return StageSpec(block, l, c, k, stride, expansion, se=se, skip=skip)


def _mnasnet() -> Space:
    """The factorised MnasNet space (arXiv:1807.11626, section 4.1) around EfficientNet's template.

    Per stage: the operator (plain convolution; depthwise separable, that is MBConv of expansion 1;
    MBConv of expansion 3 or 6), kernel, SE ratio, skip, channels and layers relative to
    MobileNetV2. Deviations: the width menu reads {0.75, 1, 1.2}, rounded to multiples of 8,
    because the printed 1.25 cannot express EfficientNet-B0 (112, 192), MnasNet-A1 or B1; stages of
    one layer offer 1 and 2 (no empty stage); a pooling skip, which the paper does not define, is
    ``StageSpec``'s ``pool``. Activation and stem are EfficientNet-B0's, which is a member.
    """
    stages = []
    for channels, layers, stride in _MOBILENET_V2:
        menu: dict[str, tuple[Value, ...]] = {
            "op": tuple(_OPERATORS),
            "k": (3, 5),
            "se": (0, 0.25),
            "skip": ("none", "pool", "identity"),
            "c": tuple(sorted({round_channels(channels, m) for m in (0.75, 1, 1.2)})),
            "l": tuple(n for n in (layers - 1, layers, layers + 1) if n > 0),
        }
        stages.append(StageChoices(menu, partial(_mnasnet_stage, stride=stride)))
    return Space("mnasnet", family("efficientnet-b0"), tuple(stages))


def _mbconv_stage(
    e: int, k: int, l: int, se: int, channels: int, stride: int  # noqa: E741
) -> StageSpec:  # fmt: skip
    return StageSpec("mbconv", l, channels, k, stride, e, se=0.25 if se else 0)


def _mbconv() -> Space:
    """Seven stages of MBConv with EfficientNet-B0's channels and strides: 1.04e11 networks.

    What Accel-NASBench trained on ImageNet (Ahmad et al. 2024, arXiv:2404.08005); the choices
    bear its names.
    """
    stages = []
    for i, stage in enumerate(family("efficientnet-b0").stages):
        layers = (1, 2, 3, 4) if i == 5 else (1, 2, 3)
        menu: dict[str, tuple[Value, ...]] = {
            "e": (1, 4, 6),
            "k": (3, 5),
            "l": layers,
            "se": (0, 1),
        }
        make = partial(_mbconv_stage, channels=stage.widths[-1], stride=stage.stride)
        stages.append(StageChoices(menu, make))
    return Space("mbconv", family("efficientnet-b0"), tuple(stages))


# Channels, layers; each stage's first layer has stride 2.
_MACRO = ((64, 2), (128, 3), (256, 3))


def _macro_layer(channels: int, stride: int, e: int, k: int) -> StageSpec:
    return StageSpec("mbconv", 1, channels, k, stride, e)


def _macro() -> Space:
    """Eight layers for 32 pixels, each the identity (0) or one of two MBConvs: 6,561 candidates.

    What NAS-Bench-Macro trained on CIFAR-10 (Su et al. 2021, arXiv:2103.11922, section 4; its
    ``train/model.py``); ``layer0`` … ``layer7`` are the digits of its architectures.
    """
    layers = [(c, 1 if i else 2) for c, count in _MACRO for i in range(count)]
    operators = {0: None, 1: partial(_macro_layer, e=3, k=3), 2: partial(_macro_layer, e=6, k=5)}
    # A template has stages; these give way.
    stages = tuple(StageSpec("mbconv", count, c, 3, 2, 3) for c, count in _MACRO)
    template = ArchSpec("macro", Stem(32, 3, 1), stages, 1280, resolution=32, classes=10)
    return layerwise("macro", template, layers, operators)


SPACES: dict[str, Callable[[], Space]] = {"mnasnet": _mnasnet, "mbconv": _mbconv, "macro": _macro}

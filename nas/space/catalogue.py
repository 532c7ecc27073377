"""The spaces by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from models.families import family
from models.scale import round_channels
from models.spec import StageSpec
from nas.space.factorised import Space, StageChoices, Value


def space(name: str) -> Space:
    """The space of that name: ``mnasnet`` or ``mbconv``.

    Raises ValueError for another name.
    """
    if name not in SPACES:
        raise ValueError(f"space {name!r:.60} is unknown: choose one of {', '.join(SPACES)}")
    return SPACES[name]()


# MobileNetV2's (arXiv:1801.04381, Table 2) seven stages: channels, layers, stride.
_MOBILENET_V2 = (
    (16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1),
)  # fmt: skip
_OPERATORS = {"conv": ("conv", 1), "dconv": ("mbconv", 1), "mbconv3": ("mbconv", 3),
              "mbconv6": ("mbconv", 6)}  # fmt: skip


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


SPACES: dict[str, Callable[[], Space]] = {"mnasnet": _mnasnet, "mbconv": _mbconv}

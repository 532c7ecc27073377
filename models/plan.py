"""A spec turned into the layers that it will be made of.

The only file that knows what a block is. ``models.cost`` folds the plan into numbers and
``models.build`` interprets it into modules, so the two cannot drift apart. Blocks that repeat are
planned once (``Repeat``): costing a deep network costs no more than a shallow one.

Sources: MobileNetV1 (arXiv:1704.04861), V2 (1801.04381), MnasNet (1807.11626), EfficientNet
(1905.11946), ResNet (1512.03385; the stride sits on the 3×3 convolution, as in torchvision),
ResNeXt (1611.05431), ReXNet (2007.00992 and its published code), ConvNeXt (2201.03545).
Convolutions pad symmetrically by kernel // 2, as PyTorch's implementations do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Union

from models.spec import ArchSpec, StageSpec


class Conv(NamedTuple):
    """A convolution, ``padding`` pixels of zeros on every side."""

    cin: int
    cout: int
    kernel: int
    stride: int = 1
    groups: int = 1
    padding: int = 0
    bias: bool = False


class Norm(NamedTuple):
    """Batch norm, or layer norm over the channels of each pixel; both affine."""

    kind: str
    channels: int
    eps: float
    momentum: float


class Act(NamedTuple):
    name: str


class Pool(NamedTuple):
    """``kind``: max or avg; padding does not count in the average."""

    kind: str
    kernel: int
    stride: int
    padding: int


class GlobalPool(NamedTuple):
    """Adaptive average pool to 1×1."""


class Flatten(NamedTuple):
    pass


class Permute(NamedTuple):
    """``last``: channels first to channels last (the axes, not the memory); else back."""

    last: bool


class Linear(NamedTuple):
    cin: int
    cout: int


class Dropout(NamedTuple):
    rate: float


class LayerScale(NamedTuple):
    channels: int
    value: float


class Excite(NamedTuple):
    """The input times ``body`` of the input (squeeze-and-excitation)."""

    body: tuple[Layer, ...]


class Residual(NamedTuple):
    """``after(body(x) + shortcut(x))``, the shortcut filled up with ``more`` channels of zeros, or
    cut by as many where ``more`` is negative."""

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...]
    more: int = 0
    after: tuple[Layer, ...] = ()


class Repeat(NamedTuple):
    """``body``, once for each of ``drops``: that copy's stochastic-depth rate."""

    body: tuple[Layer, ...]
    drops: tuple[float, ...]


Layer = Union[
    Conv, Norm, Act, Pool, GlobalPool, Flatten, Permute, Linear, Dropout, LayerScale,
    Excite, Residual, Repeat,
]  # fmt: skip


class Plan(NamedTuple):
    """All layers of a network in order: the stem, each stage, the head."""

    stem: tuple[Layer, ...]
    stages: tuple[tuple[Layer, ...], ...]
    head: tuple[Layer, ...]


def plan(spec: ArchSpec) -> Plan:
    """The layers of ``spec``."""
    style = _Style(spec)
    stages = []
    channels, first = spec.stem.channels, 0
    for stage in spec.stages:
        stages.append(tuple(_stage(style, stage, channels, first)))
        channels, first = stage.widths[-1], first + stage.layers
    return Plan(_stem(style), tuple(stages), _head(style, channels))


def squeezed(channels: int, ratio: float) -> int:
    """Channels inside squeeze-and-excitation: floor, at least 1 (TensorFlow's rule)."""
    return max(1, int(channels * ratio))


class _Style:
    """The settings that all layers of a network share, as makers of layers."""

    def __init__(self, spec: ArchSpec) -> None:
        self.spec = spec
        self.act = Act(spec.activation)
        self.blocks = sum(stage.layers for stage in spec.stages)

    def norm(self, channels: int) -> Norm:
        spec = self.spec
        return Norm(spec.norm, channels, spec.norm_eps, spec.norm_momentum)

    def conv(
        self,
        cin: int,
        cout: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        act: Act | None = None,
    ) -> tuple[Layer, ...]:
        """Convolution, norm and, where given, activation."""
        layers = (Conv(cin, cout, kernel, stride, groups, kernel // 2), self.norm(cout))
        return (*layers, act) if act else layers

    def drop(self, block: int) -> float:
        """Stochastic depth grows linearly with the block's number (EfficientNet's code)."""
        return self.spec.drop_path * block / self.blocks


def _stem(style: _Style) -> tuple[Layer, ...]:
    spec, stem = style.spec, style.spec.stem
    if spec.norm == "layer":  # ConvNeXt's patches: no overlap, no activation
        conv = Conv(spec.in_channels, stem.channels, stem.kernel, stem.stride, bias=True)
        return (conv, style.norm(stem.channels))
    layers = style.conv(spec.in_channels, stem.channels, stem.kernel, stem.stride, act=style.act)
    return (*layers, Pool("max", 3, 2, 1)) if stem.pool else layers


def _head(style: _Style, channels: int) -> tuple[Layer, ...]:
    spec = style.spec
    layers: tuple[Layer, ...] = ()
    if spec.head:
        layers, channels = style.conv(channels, spec.head, act=style.act), spec.head
    layers += (GlobalPool(),)
    if spec.norm == "layer":
        layers += (style.norm(channels),)
    return (*layers, Flatten(), Dropout(spec.dropout), Linear(channels, spec.classes))


def _stage(style: _Style, stage: StageSpec, cin: int, first: int) -> Iterator[Layer]:
    """The stage's layers; equal neighbours become one ``Repeat``."""
    stride = stage.stride
    if stage.block == "convnext" and (stride > 1 or cin != stage.widths[0]):
        yield style.norm(cin)
        yield Conv(cin, stage.widths[0], stride, stride, bias=True)
        cin, stride = stage.widths[0], 1
    make = _BLOCKS[stage.block]
    run: list[float] = []
    previous: tuple[int, int, int] | None = None
    for index, cout in enumerate(stage.widths):
        shape = (cin, cout, stride)
        if run and shape != previous:
            yield Repeat(make(style, stage, *previous), tuple(run))  # type: ignore[misc]
            run = []
        run.append(style.drop(first + index))
        previous, cin, stride = shape, cout, 1
    yield Repeat(make(style, stage, *previous), tuple(run))  # type: ignore[misc]


def _conv(style: _Style, stage: StageSpec, cin: int, cout: int, stride: int) -> tuple[Layer, ...]:
    """k×k convolution, norm, activation; MnasNet's plain ``conv`` operator."""
    return _skip(
        stage, cin, cout, stride, (*_convolved(style, stage, cin, cout, stride), style.act)
    )


def _projection(
    style: _Style, stage: StageSpec, cin: int, cout: int, stride: int
) -> tuple[Layer, ...]:
    """k×k convolution and norm: linear. What an identity becomes where shapes change."""
    return _skip(stage, cin, cout, stride, _convolved(style, stage, cin, cout, stride))


def _convolved(
    style: _Style, stage: StageSpec, cin: int, cout: int, stride: int
) -> tuple[Layer, ...]:
    body = style.conv(cin, cout, stage.kernel, stride)
    if stage.se:
        body += (_squeeze(style, cout, squeezed(cin, stage.se)),)
    return body


def _dsconv(style: _Style, stage: StageSpec, cin: int, cout: int, stride: int) -> tuple[Layer, ...]:
    """MobileNetV1: depthwise then pointwise, an activation after each."""
    body = style.conv(cin, cin, stage.kernel, stride, cin, style.act)
    if stage.se:
        body += (_squeeze(style, cin, squeezed(cin, stage.se)),)
    return _skip(stage, cin, cout, stride, body + style.conv(cin, cout, act=style.act))


def _mbconv(style: _Style, stage: StageSpec, cin: int, cout: int, stride: int) -> tuple[Layer, ...]:
    """MobileNetV2's inverted bottleneck, with SE after the depthwise convolution.

    Expansion 1 leaves out the expanding convolution: a depthwise separable convolution with a
    linear pointwise part, MnasNet's ``dconv``.
    """
    hidden = stage.hidden(cin, cout)
    body = style.conv(cin, hidden, act=style.act) if stage.expansion != 1 else ()
    body += style.conv(hidden, hidden, stage.kernel, stride, hidden, style.act)
    if stage.se:
        body += (_squeeze(style, hidden, squeezed(cin, stage.se)),)
    return _skip(stage, cin, cout, stride, body + style.conv(hidden, cout))


def _rexnet(style: _Style, stage: StageSpec, cin: int, cout: int, stride: int) -> tuple[Layer, ...]:
    """ReXNet's inverted bottleneck: SE of the hidden width before a ReLU6, no SiLU there."""
    hidden = stage.hidden(cin, cout)
    body = style.conv(cin, hidden, act=style.act) if stage.expansion != 1 else ()
    body += style.conv(hidden, hidden, stage.kernel, stride, hidden)
    if stage.se:
        body += (_squeeze(style, hidden, squeezed(hidden, stage.se), normed=True),)
    return _skip(stage, cin, cout, stride, (*body, Act("relu6"), *style.conv(hidden, cout)))


def _basic(style: _Style, stage: StageSpec, cin: int, cout: int, stride: int) -> tuple[Layer, ...]:
    """ResNet-18's block: two k×k convolutions."""
    body = style.conv(cin, cout, stage.kernel, stride, act=style.act)
    return _resnet(style, stage, cin, cout, stride, body + style.conv(cout, cout, stage.kernel))


def _bottleneck(
    style: _Style, stage: StageSpec, cin: int, cout: int, stride: int
) -> tuple[Layer, ...]:
    """ResNet-50's block, grouped for ResNeXt."""
    hidden = stage.hidden(cin, cout)
    body = style.conv(cin, hidden, act=style.act)
    body += style.conv(hidden, hidden, stage.kernel, stride, stage.groups, style.act)
    return _resnet(style, stage, cin, cout, stride, body + style.conv(hidden, cout))


def _convnext(
    style: _Style, stage: StageSpec, cin: int, cout: int, stride: int
) -> tuple[Layer, ...]:
    hidden = stage.hidden(cin, cout)
    body: tuple[Layer, ...] = (
        Conv(cin, cin, stage.kernel, stride, cin, stage.kernel // 2, bias=True),
        style.norm(cin),
        Permute(last=True),
        Linear(cin, hidden),
        style.act,
        Linear(hidden, cout),
        Permute(last=False),
        LayerScale(cout, style.spec.layer_scale),
    )
    return _skip(stage, cin, cout, stride, body)


_BLOCKS = {
    "conv": _conv,
    "projection": _projection,
    "dsconv": _dsconv,
    "mbconv": _mbconv,
    "rexnet": _rexnet,
    "basic": _basic,
    "bottleneck": _bottleneck,
    "convnext": _convnext,
}


def _squeeze(style: _Style, channels: int, inside: int, normed: bool = False) -> Excite:
    """Squeeze-and-excitation; ReXNet's has batch norm and ReLU inside."""
    middle: tuple[Layer, ...] = (style.norm(inside), Act("relu")) if normed else (style.act,)
    return Excite(
        (
            GlobalPool(),
            Conv(channels, inside, 1, bias=True),
            *middle,
            Conv(inside, channels, 1, bias=True),
            Act("sigmoid"),
        )
    )


def _skip(
    stage: StageSpec, cin: int, cout: int, stride: int, body: tuple[Layer, ...]
) -> tuple[Layer, ...]:
    """``body`` with the skip connection that the stage asks for, where shapes allow it."""
    if stage.skip == "pool":
        return (Residual(body, (Pool("avg", 3, stride, 1),), cout - cin),)
    if stage.skip == "identity" and stride == 1 and cin == cout:
        return (Residual(body, ()),)
    if stage.skip == "partial" and stride == 1 and cin <= cout:
        return (Residual(body, (), cout - cin),)
    return body


def _resnet(
    style: _Style, stage: StageSpec, cin: int, cout: int, stride: int, body: tuple[Layer, ...]
) -> tuple[Layer, ...]:
    """ResNet's sum, then activation; where shapes differ the shortcut is a 1×1 projection."""
    if stage.skip != "identity":
        return (*_skip(stage, cin, cout, stride, body), style.act)
    projected = stride != 1 or cin != cout
    shortcut = style.conv(cin, cout, stride=stride) if projected else ()
    return (Residual(body, shortcut, after=(style.act,)),)

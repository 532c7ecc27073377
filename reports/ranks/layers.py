"""The ranks of a built network's own layers, on pictures.

A layer's output is a matrix of its channels by pixels of images; N pixels are drawn at random from
all images, the same number for each of a layer's channels. Where a convolution is followed by a
norm and perhaps an activation, its output is what leaves the last of these: the f(WX) of the study.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from reports.ranks.rank import TOLERANCES, ranks

COLUMNS = 2  # pixels drawn, times the channels
_PICTURES = 32  # at once through the network


class Layer(NamedTuple):
    """A convolution of a network: its module's name and kind, its channels, and rank/channels out
    at each tolerance.

    columns   N, pixels that the matrix has; a rank is no greater
    ratios    NaN where there are no more pixels than channels: a rank could then not reach them
    """

    name: str
    kind: str
    channels_in: int
    channels_out: int
    columns: int
    ratios: tuple[float, ...]

    @property
    def measured(self) -> bool:
        return not math.isnan(self.ratios[0])

    @property
    def dimension_ratio(self) -> float:
        return self.channels_in / self.channels_out


def layers(
    network: nn.Module,
    pictures: Tensor,
    tolerances: tuple[float, ...] = TOLERANCES,
    seed: int = 0,
) -> list[Layer]:
    """Every convolution of ``network`` outside squeeze-and-excitation, in order, on ``pictures``
    (N, C, side, side), normalised as the network expects.

    Raises ValueError where no layer has more pixels than channels.
    """
    watched = dict(_watched(network))
    found: dict[str, list[Tensor]] = {name: [] for name in watched}
    handles = [
        last.register_forward_hook(_keep(found[name], seed)) for name, (_, last) in watched.items()
    ]
    try:
        with torch.inference_mode():
            for some in torch.split(pictures, _PICTURES):
                network.eval()(some)
    finally:
        for handle in handles:
            handle.remove()
    told = [
        _layer(name, conv, torch.cat(found[name], 1), tolerances, seed)
        for name, (conv, _) in watched.items()
    ]
    if not any(one.measured for one in told):
        raise ValueError(
            f"on {len(pictures)} pictures of {pictures.shape[-1]} pixels no convolution has more "
            "pixels than channels: give more pictures or a higher resolution"
        )
    return told


def _watched(network: nn.Module) -> Iterator[tuple[str, tuple[nn.Conv2d, nn.Module]]]:
    """Each convolution by name, and the module that its f(WX) leaves; not those of maps of 1×1."""
    for prefix, module in network.named_modules():
        if not isinstance(module, nn.Sequential):
            continue
        own = list(module.named_children())
        if any(isinstance(child, nn.AdaptiveAvgPool2d) for _, child in own[:1]):
            continue
        for i, (name, child) in enumerate(own):
            if isinstance(child, nn.Conv2d):
                yield f"{prefix}.{name}", (child, _last([after for _, after in own[i:]]))


def _last(modules: list[nn.Module]) -> nn.Module:
    """The convolution, or the norm or activation that follows it."""
    last = modules[0]
    for module in modules[1:]:
        norm = isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
        if not norm and type(module).__module__ != nn.ReLU.__module__:
            break
        last = module
    return last


def _keep(into: list[Tensor], seed: int) -> Callable[[nn.Module, Any, Tensor], None]:
    """A hook that keeps some pixels of every batch, (channels, pixels)."""

    def hook(_module: nn.Module, _args: Any, out: Tensor) -> None:
        into.append(_drawn(out.transpose(0, 1).flatten(1), seed + len(into)).clone())

    return hook


def _drawn(matrix: Tensor, seed: int) -> Tensor:
    """At most ``COLUMNS`` pixels a channel."""
    channels, pixels = matrix.shape
    generator = torch.Generator().manual_seed(seed)
    return matrix[:, torch.randperm(pixels, generator=generator)[: COLUMNS * channels]]


def _layer(
    name: str, conv: nn.Conv2d, matrix: Tensor, tolerances: tuple[float, ...], seed: int
) -> Layer:
    channels, pixels = matrix.shape
    drawn = _drawn(matrix, seed).float()
    found = (math.nan,) * len(tolerances)
    if pixels > channels:
        found = tuple((ranks(drawn, tolerances) / channels).tolist())
    return Layer(name, _kind(conv), conv.in_channels, channels, drawn.shape[1], found)


def _kind(conv: nn.Conv2d) -> str:
    size = conv.kernel_size[0]
    return f"{size}×{size}{' depthwise' if conv.groups == conv.in_channels > 1 else ''}"

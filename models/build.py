"""A plan interpreted into modules; decides nothing.

Input (N, in_channels, H, W) of any side that the strides leave something of, output (N, classes)
logits. Modules register in the order of the plan, which for every family that torchvision also
has is torchvision's own order: ``models.pretrained`` rests on that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn

from common.host_memory import free_host_bytes, gigabytes
from models import plan as p
from models.cost import cost
from models.spec import MAX_RESOLUTION, ArchSpec

_CLASSES = 1000  # fewer have their classifier initialised as so many would be


class Network(nn.Module):
    """``stem``, ``stages`` and ``head`` of a spec, initialised as EfficientNet's code does."""

    def __init__(self, spec: ArchSpec) -> None:
        super().__init__()
        layers = p.plan(spec)
        self.spec = spec
        self.stem = _sequence(layers.stem)
        self.stages = nn.Sequential(*(_sequence(stage) for stage in layers.stages))
        self.head = _sequence(layers.head)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.stages(self.stem(x)))
        return out


def build(spec: ArchSpec) -> nn.Module:
    """The network as a module, with fresh weights from torch's global generator.

    Raises MemoryError where the weights alone do not fit into the memory that is free.
    """
    _check_memory(spec)
    network = Network(spec)
    for module in network.modules():
        _initialise(module, spec.norm == "layer")
    return network


def _check_memory(spec: ArchSpec) -> None:
    """A spec of a hundred bytes can ask for terabytes, of which the system promises too many."""
    if torch.get_default_device().type != "cpu":
        return
    need = 4 * cost(replace(spec, resolution=MAX_RESOLUTION)).params
    free = free_host_bytes()
    if free is not None and need > free:
        raise MemoryError(
            f"the weights of {spec.name!r:.80} take {gigabytes(need)} and {gigabytes(free)} of "
            "memory is free: choose a smaller network"
        )


def _initialise(module: nn.Module, layer_norm: bool) -> None:
    """Convolutions N(0, 2 / fan-out), the classifier U(±1/√fan-out): EfficientNet's code.

    Of fewer than ImageNet's classes the classifier begins as of a thousand: by that rule logits of
    ten would have a standard deviation of 4, whose unlearning takes epochs (docs/training.md).
    ConvNeXt's own: everything N(0, 0.02²). Norms start as the identity, biases at 0.
    """
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return
    if layer_norm:
        nn.init.trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.out_channels * module.weight[0, 0].numel() // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
    else:
        bound = 1 / math.sqrt(max(module.out_features, _CLASSES))
        nn.init.uniform_(module.weight, -bound, bound)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


class _Permute(nn.Module):
    def __init__(self, last: bool) -> None:
        super().__init__()
        self.order = (0, 2, 3, 1) if last else (0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order)


class _LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each pixel of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class _LayerScale(nn.Module):
    def __init__(self, channels: int, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), value))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class _Excite(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.body(x)
        return x * gate


class _Residual(nn.Module):
    def __init__(self, layer: p.Residual, drop: float) -> None:
        super().__init__()
        self.body = _sequence(layer.body)
        self.shortcut = _sequence(layer.shortcut)
        self.after = _sequence(layer.after)
        self.more, self.drop = layer.more, drop

    def forward(self, x: Tensor) -> Tensor:
        y, short = self.body(x), self.shortcut(x)
        if self.drop:
            y = _drop_path(y, self.drop, self.training)
        if self.more:  # cut or filled up: a slice's gradient would lose the memory format
            short = F.pad(short, (0, 0, 0, 0, 0, self.more))
        return self.after(y + short)  # type: ignore[no-any-return]


@torch.fx.wrap  # a call of its own in a traced network, of which both modes have it
def _drop_path(x: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth (arXiv:1603.09382): each image loses the branch with chance ``rate``."""
    if not training:
        return x
    keep = torch.empty(len(x), 1, 1, 1, dtype=x.dtype, device=x.device).bernoulli_(1 - rate)
    return x * (keep / (1 - rate))


def _sequence(layers: tuple[p.Layer, ...], drop: float = 0.0) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, p.Repeat):
            modules += [_sequence(layer.body, rate) for rate in layer.drops]
        elif isinstance(layer, p.Residual):
            modules.append(_Residual(layer, drop))
        else:
            modules.append(_MAKERS[type(layer)](layer))
    return nn.Sequential(*modules)


def _norm(layer: p.Norm) -> nn.Module:
    if layer.kind == "layer":
        return _LayerNorm2d(layer.channels, eps=layer.eps)
    return nn.BatchNorm2d(layer.channels, eps=layer.eps, momentum=layer.momentum)


def _pool(layer: p.Pool) -> nn.Module:
    if layer.kind == "max":
        return nn.MaxPool2d(layer.kernel, layer.stride, layer.padding)
    return nn.AvgPool2d(layer.kernel, layer.stride, layer.padding, count_include_pad=False)


_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
    "silu": lambda: nn.SiLU(inplace=True),
    "hardswish": lambda: nn.Hardswish(inplace=True),
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
}
_MAKERS: dict[type[Any], Callable[[Any], nn.Module]] = {
    p.Conv: lambda c: nn.Conv2d(
        c.cin, c.cout, c.kernel, c.stride, c.padding, groups=c.groups, bias=c.bias
    ),
    p.Norm: _norm,
    p.Act: lambda a: _ACTIVATIONS[a.name](),
    p.Pool: _pool,
    p.GlobalPool: lambda _: nn.AdaptiveAvgPool2d(1),
    p.Flatten: lambda _: nn.Flatten(1),
    p.Permute: lambda q: _Permute(q.last),
    p.Linear: lambda f: nn.Linear(f.cin, f.cout),
    p.Dropout: lambda d: nn.Dropout(d.rate),
    p.LayerScale: lambda s: _LayerScale(s.channels, s.value),
    p.Excite: lambda e: _Excite(_sequence(e.body)),
}

"""A plan folded into numbers: multiply-adds, parameters, activations, fvcore's total.

The convention, for one image in evaluation mode:

macs         multiply-adds of convolution and linear layers, biases not counted. This is what the
             papers call #FLOPs, what ``--budget`` and every "FLOPs" of this project mean, and
             half of what ``torch.utils.flop_counter`` returns.
params       learnable numbers (batch norm's running statistics are buffers and not counted)
activations  elements that convolution and linear layers put out (Radosavovic et al. 2020,
             "Designing Network Design Spaces", section 3.2)
fvcore       what fvcore's ``FlopCountAnalysis`` returns: macs, and 2 for each element that enters
             a batch norm, 5 a layer norm, 1 an adaptive average pool; activations, sums, products
             and other pools count nothing

Integers throughout; no network is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from models.plan import (
    Act,
    Conv,
    Dropout,
    Excite,
    Flatten,
    GlobalPool,
    Layer,
    LayerScale,
    Linear,
    Norm,
    Permute,
    Pool,
    Repeat,
    Residual,
    plan,
)
from models.spec import ArchSpec


class Cost(NamedTuple):
    """What one image costs; the module's docstring says what each number counts."""

    macs: int
    params: int
    activations: int
    fvcore: int

    def plus(self, other: Cost) -> Cost:
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, count: int) -> Cost:
        return Cost(*(count * a for a in self))


ZERO = Cost(0, 0, 0, 0)


class Part(NamedTuple):
    """The stem, a stage or the head: its cost, and the channels and side of its output."""

    cost: Cost
    channels: int
    side: int


def cost(spec: ArchSpec) -> Cost:
    """The whole network's cost.

    Raises ValueError where the resolution is too small for the network's strides.
    """
    total = ZERO
    for part in parts(spec):
        total = total.plus(part.cost)
    return total


def parts(spec: ArchSpec) -> list[Part]:
    """The cost of the stem, of each stage and of the head, in order."""
    network = plan(spec)
    shape = (spec.in_channels, spec.resolution)
    found = []
    for layers in (network.stem, *network.stages, network.head):
        part, shape = fold(layers, shape)
        found.append(Part(part, *shape))
    return found


Shape = tuple[int, int]  # channels, side of the square map


def out_side(side: int, kernel: int, stride: int, padding: int) -> int:
    """Side of a convolution's or pool's output; ValueError where nothing would be left."""
    left = side + 2 * padding - kernel
    if left < 0:
        raise ValueError(
            f"a map of {side} pixels is too small for a kernel of {kernel}: raise the resolution"
        )
    return left // stride + 1


def fold(layers: Iterable[Layer], shape: Shape) -> tuple[Cost, Shape]:
    """What layers that follow each other cost, and the shape that they put out.

    Raises TypeError for a kind of layer whose cost is not known.
    """
    macs = params = activations = fvcore = 0
    for layer in layers:
        if isinstance(layer, _FREE):
            continue
        part, shape = _counter(layer)(layer, shape)
        macs += part[0]
        params += part[1]
        activations += part[2]
        fvcore += part[3]
    return Cost(macs, params, activations, fvcore), shape


def _conv(layer: Conv, shape: Shape) -> tuple[Cost, Shape]:
    side = out_side(shape[1], layer.kernel, layer.stride, layer.padding)
    weights = layer.cin // layer.groups * layer.kernel**2 * layer.cout
    macs = weights * side**2
    params = weights + layer.cout * layer.bias
    return Cost(macs, params, layer.cout * side**2, macs), (layer.cout, side)


def _linear(layer: Linear, shape: Shape) -> tuple[Cost, Shape]:
    pixels = shape[1] ** 2
    macs = layer.cin * layer.cout * pixels
    params = (layer.cin + 1) * layer.cout
    return Cost(macs, params, layer.cout * pixels, macs), (layer.cout, shape[1])


def _norm(layer: Norm, shape: Shape) -> tuple[Cost, Shape]:
    each = 2 if layer.kind == "batch" else 5
    return Cost(0, 2 * layer.channels, 0, each * layer.channels * shape[1] ** 2), shape


def _pool(layer: Pool, shape: Shape) -> tuple[Cost, Shape]:
    return ZERO, (shape[0], out_side(shape[1], layer.kernel, layer.stride, layer.padding))


def _global_pool(layer: GlobalPool, shape: Shape) -> tuple[Cost, Shape]:
    return Cost(0, 0, 0, shape[0] * shape[1] ** 2), (shape[0], 1)


def _layer_scale(layer: LayerScale, shape: Shape) -> tuple[Cost, Shape]:
    return Cost(0, layer.channels, 0, 0), shape


def _excite(layer: Excite, shape: Shape) -> tuple[Cost, Shape]:
    return fold(layer.body, shape)[0], shape


def _residual(layer: Residual, shape: Shape) -> tuple[Cost, Shape]:
    body, out = fold(layer.body, shape)
    shortcut, _ = fold(layer.shortcut, shape)
    return body.plus(shortcut), out  # what comes ``after`` is an activation: no cost


def _repeat(layer: Repeat, shape: Shape) -> tuple[Cost, Shape]:
    # Copies are planned as one only where they map a shape to itself, the single copy excepted.
    once, out = fold(layer.body, shape)
    return once.times(len(layer.drops)), out


_FREE = (Act, Flatten, Permute, Dropout)  # neither counted nor of any consequence for the shape


def _counter(layer: Layer) -> Callable[[Any, Shape], tuple[Cost, Shape]]:
    try:
        return _COUNTERS[type(layer)]
    except KeyError:
        raise TypeError(f"the cost of a layer {layer!r:.80} is not known: add it here") from None


_COUNTERS: dict[type[Any], Callable[[Any, Shape], tuple[Cost, Shape]]] = {
    Conv: _conv,
    Linear: _linear,
    Norm: _norm,
    Pool: _pool,
    GlobalPool: _global_pool,
    LayerScale: _layer_scale,
    Excite: _excite,
    Residual: _residual,
    Repeat: _repeat,
}

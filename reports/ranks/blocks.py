"""Random building blocks, many networks at once, as ReXNet's study of ranks has them.

Han et al. 2021 (arXiv:2007.00992, section 3): one block f(WX) with random weights, W of
d_out × d_in and X of d_in × N, N > d_out > d_in, f a batch norm and a nonlinearity; a 1×1 and a 3×3
convolution, and an inverted bottleneck with a 3×3 or a depthwise 3×3 convolution, whose input is
the first convolution's and whose output is what leaves after the shortcut.

The paper does not say how X, W, sizes and maps are drawn. Here X and W are Gaussian and
independent (batch norm takes any scale away), maps have 8×8 pixels, and a bottleneck expands
its input 6 times.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Nonlinearity = Callable[[Tensor], Tensor]
NONLINEARITIES: dict[str, Nonlinearity] = {
    "none": lambda x: x,
    "ReLU": F.relu,
    "ReLU6": F.relu6,
    "LeakyReLU": F.leaky_relu,
    "ELU": F.elu,
    "SoftPlus": F.softplus,
    "hard-swish": F.hardswish,
    "SiLU": F.silu,
    "GELU": F.gelu,
}
SIDE = 8  # pixels of a map
EXPANSION = 6

# (d_in, d_out) of a block → the shapes of its kernels, each (out, in, k, k)
Shapes = Callable[[int, int], list[tuple[int, int, int, int]]]


def _bottleneck(d_in: int, d_out: int, within: int) -> list[tuple[int, int, int, int]]:
    hidden = EXPANSION * d_in
    return [(hidden, d_in, 1, 1), (hidden, within, 3, 3), (d_out, hidden, 1, 1)]


BLOCKS: dict[str, Shapes] = {
    "1×1 convolution": lambda d_in, d_out: [(d_out, d_in, 1, 1)],
    "3×3 convolution": lambda d_in, d_out: [(d_out, d_in, 3, 3)],
    "bottleneck, 3×3": lambda d_in, d_out: _bottleneck(d_in, d_out, EXPANSION * d_in),
    "bottleneck, depthwise": lambda d_in, d_out: _bottleneck(d_in, d_out, 1),
}


def draw(
    block: str, d_in: int, d_out: int, networks: int, generator: torch.Generator
) -> tuple[Tensor, list[Tensor]]:
    """Input (networks, images, d_in, side, side) and the kernels (networks, out, in, k, k) of
    ``networks`` random blocks; images enough that pixels outnumber ``d_out`` twice."""
    images = -(-2 * d_out // SIDE**2)
    shape = (networks, images, d_in, SIDE, SIDE)
    kernels = [
        torch.randn(networks, *kernel, generator=generator) for kernel in BLOCKS[block](d_in, d_out)
    ]
    return torch.randn(shape, generator=generator), kernels


def outputs(inputs: Tensor, kernels: list[Tensor], f: Nonlinearity) -> Tensor:
    """The feature matrices (networks, d_out, N) of what ``draw`` made; N are pixels of images.

    A single kernel is a convolution; three are an inverted bottleneck, whose projection is linear
    and whose shortcut is added to the first d_in channels (ReXNet's own code).
    """
    x = inputs
    for kernel in kernels[: max(1, len(kernels) - 1)]:
        x = f(_normed(_convolved(x, kernel)))
    if len(kernels) > 1:
        x = _normed(_convolved(x, kernels[-1]))
        x = x + F.pad(inputs, (0, 0, 0, 0, 0, x.shape[2] - inputs.shape[2]))
    return x.transpose(1, 2).flatten(2)


def _convolved(x: Tensor, kernel: Tensor) -> Tensor:
    """Each network's images by its own kernel; depthwise where the kernel sees one channel of
    several."""
    networks, channels = x.shape[0], x.shape[2]
    out, within, size = kernel.shape[1:4]
    stacked = x.transpose(0, 1).flatten(1, 2)  # networks side by side, as groups of channels
    groups = networks * channels // within
    y = F.conv2d(stacked, kernel.flatten(0, 1), padding=size // 2, groups=groups)
    found: Tensor = y.reshape(len(y), networks, out, *y.shape[2:]).transpose(0, 1)
    return found


def _normed(x: Tensor) -> Tensor:
    """Batch norm as it begins: each channel of each network to mean 0 and variance 1."""
    variance, mean = torch.var_mean(x, dim=(1, 3, 4), correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()

"""Other ways to compute a network's convolutions on a GPU, to see what its first steps cost.

A process prepares each new shape of convolution in cuDNN, and a search shows it little else than
new shapes.
"""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.loop.quick.layers import quicken

TRYING = "cuDNN, trying algorithms"
QUICK = "as trainings do: matrix products and Triton"
WAYS = (
    TRYING,
    QUICK,
    "cuDNN, by its own choice",
    f"{QUICK}, trying algorithms",
    "1×1 as matrix products",
    "1×1 as matrix products, depthwise by torch's own kernels",
)
"""The most telling first."""


def settings(way: str) -> AbstractContextManager[object]:
    """A block in which cuDNN goes about it in this way."""
    return torch.backends.cudnn.flags(enabled=True, benchmark="trying" in way)


def altered(network: nn.Module, way: str) -> nn.Module:
    """``network`` with its convolutions computed in this way, in place; the same to rounding."""
    if way.startswith(QUICK):
        return quicken(network)
    for module in network.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if "matrix" in way and _is_matrix(module):
            module.forward = functools.partial(_matrix, module)  # type: ignore[method-assign]
        elif "depthwise" in way and 1 < module.groups == module.in_channels == module.out_channels:
            module.forward = functools.partial(_depthwise, module)  # type: ignore[method-assign]
    return network


def _is_matrix(conv: nn.Conv2d) -> bool:
    plain = conv.stride == (1, 1) and conv.padding == (0, 0)
    return conv.kernel_size == (1, 1) and conv.groups == 1 and plain


def _matrix(conv: nn.Conv2d, x: Tensor) -> Tensor:
    y = F.linear(x.permute(0, 2, 3, 1), conv.weight.flatten(1), conv.bias)
    return y.permute(0, 3, 1, 2)


def _depthwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    # Gradients see these tensors and not what autocast would have made of them.
    kind = torch.get_autocast_dtype(x.device.type) if _casts(x) else x.dtype
    shape = list(conv.stride), [int(side) for side in conv.padding]
    y: Tensor = _WithoutCudnn.apply(x.to(kind), conv.weight.to(kind), *shape, conv.groups)
    return y if conv.bias is None else y + conv.bias[:, None, None]


def _casts(x: Tensor) -> bool:
    return torch.is_autocast_enabled(x.device.type)


class _WithoutCudnn(torch.autograd.Function):
    """torch's own kernels, forward and backward."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: list[int], padding: list[int], groups: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.settings = stride, padding, groups
        with torch.backends.cudnn.flags(enabled=False):
            return F.conv2d(x, weight, None, stride, padding, 1, groups)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding, groups = ctx.settings
        with torch.backends.cudnn.flags(enabled=False):
            into_x, into_weight, _ = torch.ops.aten.convolution_backward(
                grad,
                x,
                weight,
                None,
                stride,
                padding,
                [1, 1],
                False,
                [0, 0],
                groups,
                [True, True, False],
            )
        return into_x, into_weight, None, None, None

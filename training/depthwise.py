"""Depthwise convolutions trained on the CPU without oneDNN's slow weight gradients.

oneDNN has a quick weight gradient for 3×3 depthwise kernels only; that of a 5×5 one on a 3×3 map
takes tens of times as long as its forward pass, most of it over padding
(``benchmarks/depthwise.py``). The gradient of one tap is a sum of products over the output pixels
that the tap joins to a pixel inside the map: a few contiguous passes in channels-last memory, and
none for what is padding.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def quicken(network: nn.Module) -> nn.Module:
    """Give the depthwise convolutions of ``network`` the quick weight gradient, in place.

    Outputs stay the same, gradients to rounding. It acts on the CPU and where it is the quicker.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _depthwise(module):
            module.forward = functools.partial(_forward, module)  # type: ignore[method-assign]
    return network


def _depthwise(conv: nn.Conv2d) -> bool:
    square = conv.kernel_size[0] == conv.kernel_size[1]
    return conv.groups == conv.in_channels == conv.out_channels > 1 and square


def _forward(conv: nn.Conv2d, x: Tensor) -> Tensor:
    kernel, stride, padding = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
    slow = kernel > 3 or x.shape[2] < kernel > 1
    if slow and conv.training and x.device.type == "cpu":
        y: Tensor = _Depthwise.apply(x, conv.weight, stride, padding)
        return y if conv.bias is None else y + conv.bias[:, None, None]
    return F.conv2d(x, conv.weight, conv.bias, stride, padding, 1, conv.groups)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        into_x = torch.ops.aten.convolution_backward(
            grad, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0],
            len(weight), [True, False, False],
        )[0]  # fmt: skip
        into_weight = _weight_gradient(
            grad.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1), weight.shape[2], stride, padding
        )
        return into_x, into_weight.permute(2, 0, 1).reshape(weight.shape), None, None


def _weight_gradient(grad: Tensor, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """(kernel, kernel, C) from (N, out, out, C) and (N, side, side, C)."""
    found = grad.new_zeros(kernel, kernel, grad.shape[3])
    rows = [_joined(tap, x.shape[1], grad.shape[1], stride, padding) for tap in range(kernel)]
    columns = [_joined(tap, x.shape[2], grad.shape[2], stride, padding) for tap in range(kernel)]
    for i, (above, from_rows) in enumerate(rows):
        for j, (left, from_columns) in enumerate(columns):
            products = grad[:, above, left] * x[:, from_rows, from_columns]
            torch.sum(products, (0, 1, 2), out=found[i, j])
    return found


def _joined(tap: int, side: int, out: int, stride: int, padding: int) -> tuple[slice, slice]:
    """Output positions along one axis that ``tap`` joins to the map, and those it joins them to."""
    first = max(0, -((tap - padding) // stride))
    last = min(out - 1, (side - 1 - tap + padding) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + tap - padding
    return slice(first, last + 1), slice(start, start + (last - first) * stride + 1, stride)

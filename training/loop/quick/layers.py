"""Layers trained without what torch does slowly on the device.

On the CPU:

- A 1×1 convolution is a matrix product over the pixels, and maps in channels-last memory are its
  matrix as they lie: BLAS takes it, and above all its gradients, at up to twice oneDNN's rate.
- oneDNN's weight gradients walk the padding, which under a 5×5 kernel on a 3×3 map is most of the
  work, and of depthwise kernels it has a quick one for 3×3 only. The gradient of one tap is a sum
  of products over the output pixels that the tap joins to a pixel inside the map, and no others.
- SiLU in place copies its input for the backward pass, and the gradient of a mean is written out
  pixel by pixel. Out of place, and as a sum over the pixels, neither happens.

On CUDA cuDNN prepares an engine for each new shape, which of a network's first steps takes most:
1×1 convolutions are matrix products, depthwise ones are ``training.loop.quick``'s. A step's kernels
are short there and their number counts: batch norms do not count batches.

What each is worth: ``docs/throughput.md``, ``docs/gpu.md``.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.loop.quick import depthwise

_LARGEST = {"depthwise": 7, "depthwise 3×3": 2, "dense": 3}
"""Output pixels a side up to which the sum over taps is quicker than oneDNN's weight gradient."""


def quicken(network: nn.Module) -> nn.Module:
    """Give the layers of ``network`` this module's ways to compute, in place.

    Outputs and gradients stay the same to rounding. It acts on the devices named above and where it
    is the quicker.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _simple(module):
            way = _pointwise if module.kernel_size == (1, 1) else _convolution
            module.forward = functools.partial(way, module)  # type: ignore[method-assign]
        elif isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size == 1:
            module.forward = _mean  # type: ignore[method-assign]
        elif type(module) is nn.BatchNorm2d:
            module.forward = functools.partial(_norm, module)  # type: ignore[method-assign]
        elif isinstance(module, nn.SiLU | nn.Hardswish):
            module.inplace = False
    return network


def _simple(conv: nn.Conv2d) -> bool:
    """Square and undilated, and dense or depthwise; if 1×1, a plain matrix product."""
    square = all(len(set(pair)) == 1 for pair in (conv.kernel_size, conv.stride, conv.padding))
    if not square or conv.dilation != (1, 1) or conv.padding_mode != "zeros":
        return False
    if conv.kernel_size == (1, 1):
        return conv.groups == 1 and conv.stride == (1, 1) and conv.padding == (0, 0)
    return conv.groups == 1 or conv.groups == conv.in_channels == conv.out_channels


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    if x.device.type not in ("cpu", "cuda"):
        return F.conv2d(x, conv.weight, conv.bias)
    y = F.linear(x.permute(0, 2, 3, 1), conv.weight.flatten(1), conv.bias)
    return y.permute(0, 3, 1, 2)


def _norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Without the count of batches, a kernel of its own that only a mean over all of them reads."""
    if norm.momentum is None:  # set since, for that mean
        return nn.BatchNorm2d.forward(norm, x)
    own = norm.training or norm.running_mean is None
    mean, var = norm.running_mean, norm.running_var
    return F.batch_norm(x, mean, var, norm.weight, norm.bias, own, norm.momentum, norm.eps)


def _mean(input: Tensor) -> Tensor:
    return input.sum((2, 3), keepdim=True) / (input.shape[2] * input.shape[3])


def _convolution(conv: nn.Conv2d, x: Tensor) -> Tensor:
    kernel, stride, padding = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
    if depthwise.takes(conv, x):
        return _biased(depthwise.convolve(x, conv.weight, stride, padding), conv.bias)
    out = (x.shape[2] + 2 * padding - kernel) // stride + 1
    kind = "dense" if conv.groups == 1 else "depthwise 3×3" if kernel == 3 else "depthwise"
    small = out <= _LARGEST[kind]
    if small and x.device.type == "cpu" and conv.weight.requires_grad and torch.is_grad_enabled():
        y: Tensor = _Convolution.apply(x, conv.weight, stride, padding, conv.groups)
        return _biased(y, conv.bias)
    return F.conv2d(x, conv.weight, conv.bias, stride, padding, 1, conv.groups)


def _biased(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias[:, None, None]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, groups: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.settings = stride, padding, groups
        return F.conv2d(x, weight, None, stride, padding, 1, groups)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding, groups = ctx.settings
        into_x = None
        if ctx.needs_input_grad[0]:
            into_x = torch.ops.aten.convolution_backward(
                grad,
                x,
                weight,
                None,
                [stride] * 2,
                [padding] * 2,
                [1, 1],
                False,
                [0, 0],
                groups,
                [True, False, False],
            )[0]
        maps = grad.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1)
        into_weight = _weight_gradient(*maps, weight.shape[2], stride, padding, groups > 1)
        return into_x, into_weight.permute(2, 3, 0, 1).reshape(weight.shape), None, None, None


def _weight_gradient(
    grad: Tensor, x: Tensor, kernel: int, stride: int, padding: int, depthwise: bool
) -> Tensor:
    """(kernel, kernel, O, I) from (N, out, out, O) and (N, side, side, C); I is 1 if depthwise."""
    found = grad.new_empty(kernel, kernel, grad.shape[3], 1 if depthwise else x.shape[3])
    rows = [_joined(tap, x.shape[1], grad.shape[1], stride, padding) for tap in range(kernel)]
    columns = [_joined(tap, x.shape[2], grad.shape[2], stride, padding) for tap in range(kernel)]
    for i, (above, from_rows) in enumerate(rows):
        for j, (left, from_columns) in enumerate(columns):
            ends, starts = grad[:, above, left], x[:, from_rows, from_columns]
            if depthwise:
                torch.sum(ends * starts, (0, 1, 2), out=found[i, j, :, 0])
            else:
                torch.mm(ends.flatten(0, 2).T, starts.flatten(0, 2), out=found[i, j])
    return found


def _joined(tap: int, side: int, out: int, stride: int, padding: int) -> tuple[slice, slice]:
    """Output positions along one axis that ``tap`` joins to the map, and those it joins them to."""
    first = max(0, -((tap - padding) // stride))
    last = min(out - 1, (side - 1 - tap + padding) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + tap - padding
    return slice(first, last + 1), slice(start, start + (last - first) * stride + 1, stride)

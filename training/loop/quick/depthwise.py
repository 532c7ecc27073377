"""Depthwise convolutions on a GPU by kernels that take any shape as it comes.

cuDNN prepares an engine for each new shape, and a search shows it nothing but new shapes: a
network's first steps are then most of its training (``docs/gpu.md``). Triton, which comes with
torch on Linux, compiles ``training.loop.quick.kernels`` once for each size of kernel and stride and
keeps them on disk. Memory bounds a depthwise convolution on any GPU; each kernel reads what it
needs once, but for taps, which find it in the cache.

No two programs add to one number, so that sums repeat themselves to the bit.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import torch
from torch import Tensor, nn

_MOST = 2**31  # elements that the kernels can count
_PROGRAMS = 1024  # about so many sum a weight's gradient: a GPU is full, their parts are few
_FEWEST = 256  # output pixels of one of these
_ROWS = 32  # pixels of a program of the others


def takes(conv: nn.Conv2d, x: Tensor) -> bool:
    """Whether ``convolve`` computes this layer on this input: depthwise, on CUDA."""
    depthwise = 1 < conv.groups == conv.in_channels == conv.out_channels
    return depthwise and x.device.type == "cuda" and x.numel() < _MOST and works()


@functools.cache
def works() -> bool:
    """Whether Triton is installed and can build what it needs here, which takes a C compiler; if
    not, a line says so, and cuDNN does its work."""
    try:
        x = torch.zeros(1, 8, 3, 3, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        weight = torch.zeros(8, 1, 3, 3, device="cuda", requires_grad=True)
        torch.autograd.grad(convolve(x, weight, 1, 1).sum(), (x, weight))
    except Exception as error:  # whatever a compiler's absence looks like
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        print(f"no depthwise kernels by Triton, first steps are slow: {said}", file=sys.stderr)
        return False
    return True


def convolve(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """(N, C, H, W) and (C, 1, K, K) to what torch's depthwise convolution gives, channels last.

    Under autocast the result has its type; the weight is used, and its gradient given, as it is.
    """
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    found: Tensor = _Depthwise.apply(x, weight, stride, padding)
    return found


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        from training.loop.quick import kernels

        kernel = weight.shape[2]
        x, taps = _last(x), weight.detach().flatten(1).t().contiguous()
        ctx.save_for_backward(x, taps)
        ctx.settings = kernel, stride, padding
        out = [(side + 2 * padding - kernel) // stride + 1 for side in x.shape[2:]]
        y = _like(x, *out)
        _launch(kernels.forward, (x, taps, y), (x, y), kernel, stride, padding)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        from training.loop.quick import kernels

        x, taps = ctx.saved_tensors
        kernel, stride, padding = ctx.settings
        grad = _last(grad)
        into_x = into_weight = None
        if ctx.needs_input_grad[0]:
            into_x = _like(x, *x.shape[2:])
            tensors = grad, taps, into_x
            _launch(kernels.into_input, tensors, (x, grad), kernel, stride, padding)
        if ctx.needs_input_grad[1]:
            found = _into_taps(grad, x, kernel, stride, padding).t()
            into_weight = found.reshape(-1, 1, kernel, kernel).to(taps.dtype)
        return into_x, into_weight, None, None


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _like(x: Tensor, height: int, width: int) -> Tensor:
    shape = (x.shape[0], x.shape[1], height, width)
    last = torch.channels_last
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=last)


def _launch(
    run: Any,
    tensors: tuple[Tensor, Tensor, Tensor],
    ends: tuple[Tensor, Tensor],
    kernel: int,
    stride: int,
    padding: int,
) -> None:
    """Write the last of ``tensors``; ``ends`` are the maps before the convolution and after it."""
    pixels, channels = _pixels(tensors[-1]), tensors[-1].shape[1]
    units, unit = _units(channels)
    some = 32 if channels <= 32 else 64
    grid = (-(-pixels // _ROWS), -(-channels // some))
    sides = (*ends[0].shape[2:], *ends[1].shape[2:])
    run[grid](*tensors, pixels, *sides, units, padding, kernel, stride, unit, _ROWS, some)


def _into_taps(grad: Tensor, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """(K·K, C), in single precision."""
    from training.loop.quick import kernels

    pixels, channels, some = _pixels(grad), grad.shape[1], 32
    blocks = -(-channels // some)
    programs = max(1, min(_PROGRAMS // (blocks * kernel), pixels // _FEWEST))
    each = 16 * -(-pixels // (16 * programs))
    programs = -(-pixels // each)
    parts = x.new_empty((programs, kernel * kernel, channels), dtype=torch.float32)
    units, unit = _units(channels)
    sizes = pixels, *x.shape[2:], *grad.shape[2:], units, padding, each
    taps = 1 << (kernel - 1).bit_length()
    run: Any = kernels.into_weight
    run[programs, kernel, blocks](grad, x, parts, *sizes, kernel, stride, unit, 16, some, taps)
    return parts.sum(0)


def _pixels(x: Tensor) -> int:
    return x.shape[0] * x.shape[2] * x.shape[3]


def _units(channels: int) -> tuple[int, int]:
    """``channels`` as so many of so many."""
    return (channels // 8, 8) if channels % 8 == 0 else (channels, 1)

"""Depthwise convolutions in Triton, of maps whose channels lie side by side (N, H, W, C).

Sizes are numbers like any others to these kernels: they are compiled for a kernel's size, a stride
and whether channels come in eights (``UNIT``), which lets a thread read eight at once. Sums are in
single precision, whatever the maps' own.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import triton
import triton.language as tl

_SIZES = ["pixels", "height", "width", "out_height", "out_width", "units", "padding"]


@triton.jit(do_not_specialize=_SIZES)
def forward(
    x, taps, y, pixels, height, width, out_height, out_width, units, padding,
    KERNEL: tl.constexpr, STRIDE: tl.constexpr, UNIT: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """y (N, out_height, out_width, C) of x and taps (KERNEL · KERNEL, C); ``pixels`` are y's.

    A program computes PIXELS of these in CHANNELS of the UNIT · ``units`` channels.
    """
    channels = units * UNIT
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    there, known = pixel < pixels, channel < channels
    column = pixel % out_width
    row = (pixel // out_width) % out_height
    image = pixel // (out_width * out_height)
    total = tl.zeros((PIXELS, CHANNELS), tl.float32)
    for i in range(KERNEL):
        for j in tl.static_range(KERNEL):
            a, b = row * STRIDE - padding + i, column * STRIDE - padding + j
            inside = there & (a >= 0) & (a < height) & (b >= 0) & (b < width)
            at = ((image * height + a) * width + b) * channels
            some = tl.load(
                x + at[:, None] + channel[None, :], inside[:, None] & known[None, :], other=0.0
            )
            tap = tl.load(taps + (i * KERNEL + j) * channels + channel, known, other=0.0)
            total += some.to(tl.float32) * tap.to(tl.float32)[None, :]
    to = y + pixel[:, None] * channels + channel[None, :]
    tl.store(to, total.to(y.dtype.element_ty), there[:, None] & known[None, :])


@triton.jit(do_not_specialize=_SIZES)
def into_input(
    grad, taps, found, pixels, height, width, out_height, out_width, units, padding,
    KERNEL: tl.constexpr, STRIDE: tl.constexpr, UNIT: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The input's gradient from the output's; ``pixels`` are the input's."""
    channels = units * UNIT
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    there, known = pixel < pixels, channel < channels
    column = pixel % width
    row = (pixel // width) % height
    image = pixel // (width * height)
    total = tl.zeros((PIXELS, CHANNELS), tl.float32)
    for i in range(KERNEL):
        for j in tl.static_range(KERNEL):
            # The output pixel that this tap joins to the input's, where there is one.
            down, right = row + padding - i, column + padding - j
            a, b = down // STRIDE, right // STRIDE
            joined = there & (down >= 0) & (right >= 0) & (a < out_height) & (b < out_width)
            joined = joined & (down % STRIDE == 0) & (right % STRIDE == 0)
            at = ((image * out_height + a) * out_width + b) * channels
            some = tl.load(
                grad + at[:, None] + channel[None, :], joined[:, None] & known[None, :], other=0.0
            )
            tap = tl.load(taps + (i * KERNEL + j) * channels + channel, known, other=0.0)
            total += some.to(tl.float32) * tap.to(tl.float32)[None, :]
    to = found + pixel[:, None] * channels + channel[None, :]
    tl.store(to, total.to(found.dtype.element_ty), there[:, None] & known[None, :])


@triton.jit(do_not_specialize=[*_SIZES, "each"])
def into_weight(
    grad, x, parts, pixels, height, width, out_height, out_width, units, padding, each,
    KERNEL: tl.constexpr, STRIDE: tl.constexpr, UNIT: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr, TAPS: tl.constexpr,
):  # fmt: skip
    """``parts`` (programs, KERNEL · KERNEL, C) that add up to the gradient of the taps.

    A program sums one row of them over ``each`` of the output's ``pixels``, a multiple of PIXELS;
    TAPS is the least power of 2 that a row has room in.
    """
    channels = units * UNIT
    i = tl.program_id(1)
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    j = tl.arange(0, TAPS)
    known = channel < channels
    total = tl.zeros((PIXELS, TAPS, CHANNELS), tl.float32)
    first = tl.program_id(0) * each
    for start in range(first, first + each, PIXELS):
        pixel = start + tl.arange(0, PIXELS)
        there = pixel < pixels
        column = pixel % out_width
        row = (pixel // out_width) % out_height
        image = pixel // (out_width * out_height)
        ends = tl.load(
            grad + pixel[:, None] * channels + channel[None, :],
            there[:, None] & known[None, :],
            other=0.0,
        )
        a = row * STRIDE - padding + i
        b = column[:, None] * STRIDE - padding + j[None, :]
        inside = (there & (a >= 0) & (a < height))[:, None] & (b >= 0) & (b < width)
        inside = inside & (j < KERNEL)[None, :]
        at = ((image * height + a)[:, None] * width + b) * channels
        starts = tl.load(
            x + at[:, :, None] + channel[None, None, :],
            inside[:, :, None] & known[None, None, :],
            other=0.0,
        )
        total += ends.to(tl.float32)[:, None, :] * starts.to(tl.float32)
    found = tl.sum(total, 0)
    row_of = (tl.program_id(0) * KERNEL + i) * KERNEL + j
    to = parts + row_of[:, None] * channels + channel[None, :]
    tl.store(to, found, (j < KERNEL)[:, None] & known[None, :])

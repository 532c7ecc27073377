"""Batches of pictures for a network: normalised, resized and, for training, varied at random.

Everything works on a whole batch on the batch's own device. Randomness comes from the generator
passed in alone: one on the CPU gives the same batches on every device, one on the batch's device
saves a small copy. Evaluation is `to_float` and nothing else.
"""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate


def augment(
    images: torch.Tensor, generator: torch.Generator, *, shift: float = 0.125, flip: bool = False
) -> torch.Tensor:
    """Translate every picture of a batch and, with `flip`, mirror half of them.

    images: any type, (B, C, H, W), usually uint8: before `to_float`, where they are smallest.
    shift: as in `translate`. flip: only for data whose mirrored pictures keep their label.
    """
    moved = translate(images, generator, shift)
    return horizontal_flip(moved, generator) if flip else moved


def to_float(
    images: torch.Tensor,
    resolution: int,
    mean: torch.Tensor,
    std: torch.Tensor,
    *,
    channels_last: bool = False,
) -> torch.Tensor:
    """Pictures as a network wants them: float32 (B, C, resolution, resolution), normalised.

    images: uint8 (B, C, H, W). Resized bilinearly, with antialiasing where that shrinks them.
    mean, std: float32 (C,) on the same device, of pixels in 0..1, as Data has them.
    channels_last: the memory format in which convolutions are fastest on most devices.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    pixels = images.to(torch.float32, memory_format=layout)
    if images.shape[-2:] != (resolution, resolution):
        size = (resolution, resolution)
        pixels = interpolate(pixels, size=size, mode="bilinear", antialias=True)
    centred = pixels - 255 * mean[:, None, None]
    return (centred / (255 * std[:, None, None])).contiguous(memory_format=layout)


def translate(images: torch.Tensor, generator: torch.Generator, shift: float) -> torch.Tensor:
    """Move every picture by up to `shift` of its side each way, whole pixels, edges reflected.

    The same as a random crop of the picture padded by reflection. images: (B, C, H, W); 0 <= shift
    <= 0.5.
    """
    count, channels, height, width = images.shape
    rows = _moved(count, height, shift, generator).to(images.device, non_blocking=True)
    columns = _moved(count, width, shift, generator).to(images.device, non_blocking=True)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).reshape(count, 1, -1)
    gathered = images.reshape(count, channels, -1).gather(2, pixels.expand(-1, channels, -1))
    return gathered.reshape(images.shape)


def horizontal_flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror every picture of (B, C, H, W) with probability 1/2."""
    coin = torch.rand(len(images), generator=generator, device=generator.device) < 0.5
    mirrored = coin.to(images.device, non_blocking=True)[:, None, None, None]
    return torch.where(mirrored, images.flip(3), images)


def cutout(images: torch.Tensor, generator: torch.Generator, fraction: float) -> torch.Tensor:
    """Grey out a square of `fraction` of the side around a random pixel of every picture.

    images: normalised float (B, C, H, W), in which 0 is the mean colour. The square may overlap
    the edge, as in its paper (DeVries and Taylor 2017, arXiv 1708.04552). 0 <= fraction <= 1.
    """
    count, _, height, width = images.shape
    inside_rows = _hole(count, height, fraction, generator).to(images.device, non_blocking=True)
    inside_columns = _hole(count, width, fraction, generator).to(images.device, non_blocking=True)
    hole = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
    return images.masked_fill(hole, 0.0)


def _moved(count: int, side: int, shift: float, generator: torch.Generator) -> torch.Tensor:
    """For each picture the source index of every index along one axis, int64 (count, side)."""
    device, reach = generator.device, round(shift * side)
    offset = torch.randint(-reach, reach + 1, (count, 1), generator=generator, device=device)
    index = (torch.arange(side, device=device) + offset).abs()
    return side - 1 - (side - 1 - index).abs()  # reflected at both edges, neither repeated


def _hole(count: int, side: int, fraction: float, generator: torch.Generator) -> torch.Tensor:
    """For each picture whether an index along one axis is in the square, bool (count, side)."""
    device, length = generator.device, round(fraction * side)
    centre = torch.randint(0, side, (count, 1), generator=generator, device=device)
    first = centre - length // 2
    index = torch.arange(side, device=device)
    return (index >= first) & (index < first + length)

"""Batches of pictures for a network: normalised, resized and, for training, varied at random.

Everything works on a whole batch on the batch's own device. What is drawn at random is drawn apart
from that, for a whole epoch and on the CPU (``draw``): every device then sees the same batches, and
none waits for a draw. Evaluation is `to_float` and nothing else.
"""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate

FIELDS = ("picture", "down", "right", "mirrored", "row", "column", "upside_down", "zoom",
          "zoom_down", "zoom_right", "contrast", "brightness", "red", "green", "blue",
          "seed")  # fmt: skip
"""What `draw` draws for each picture of a batch."""

CHANCES = 2**24
"""So many equally likely values, from 0, have the fields that `training.loop.feeds.vary` takes."""

_ZOOM, _COLOURS = FIELDS[7:10], FIELDS[10:15]
_SEEDS = 2**31


def draw(
    generator: torch.Generator,
    pictures: int,
    batch: int,
    *,
    reach: int,
    flip: bool = False,
    hole_side: int | None = None,
    vertical: bool = False,
    zoom: bool = False,
    colours: bool = False,
    seeds: bool = False,
    order: torch.Tensor | None = None,
) -> torch.Tensor:
    """What is random in one pass over so many pictures: int64 (steps, fields, batch), on the CPU.

    Fields, in the order of FIELDS: which picture; pixels for `translate`, from -reach to reach;
    with `flip` whether it is mirrored; with `hole_side`, the network's pixels a side, the centre
    for `cutout`; with `vertical` whether it is turned upside down; with `zoom` and `colours`
    CHANCES for `training.loop.feeds.vary`; with `seeds` one for what is varied picture by picture.
    What is not asked for is not drawn, and 0. Pictures come in the `order` given, int64
    (pictures,), else in a random one; those left over are in no batch.

    Drawn batch by batch, each field after the other: this order is what a seed stands for.
    """
    order = torch.randperm(pictures, generator=generator) if order is None else order
    drawn = torch.zeros(pictures // batch, len(FIELDS), batch, dtype=torch.int64)
    chances = (*(_ZOOM if zoom else ()), *(_COLOURS if colours else ()))
    for step, values in enumerate(drawn):
        of = dict(zip(FIELDS, values, strict=True))
        of["picture"].copy_(order[step * batch : (step + 1) * batch])
        for name in ("down", "right"):
            torch.randint(-reach, reach + 1, (batch,), generator=generator, out=of[name])
        if flip:
            of["mirrored"].copy_(torch.rand(batch, generator=generator) < 0.5)
        if hole_side is not None:
            for name in ("row", "column"):
                torch.randint(hole_side, (batch,), generator=generator, out=of[name])
        if vertical:
            of["upside_down"].copy_(torch.rand(batch, generator=generator) < 0.5)
        for name in chances:
            torch.randint(CHANCES, (batch,), generator=generator, out=of[name])
        if seeds:
            torch.randint(_SEEDS, (batch,), generator=generator, out=of["seed"])
    return drawn


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


def translate(images: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Move the content of every picture by whole pixels up and to the left, edges reflected.

    The same as a crop, `down` and `right` of the middle, of the picture padded by reflection.
    images: any type, (B, C, H, W), usually uint8: before `to_float`, where they are smallest.
    down, right: int64 (B,) on the same device, above -H and below H, and W.
    """
    count, channels, height, width = images.shape
    rows, columns = _moved(height, down), _moved(width, right)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).reshape(count, 1, -1)
    gathered = images.reshape(count, channels, -1).gather(2, pixels.expand(-1, channels, -1))
    return gathered.reshape(images.shape)


def mirror(images: torch.Tensor, mirrored: torch.Tensor, axis: int = 3) -> torch.Tensor:
    """Mirror those pictures of (B, C, H, W) whose number in `mirrored`, int64 (B,), is not 0.

    axis: 3, left to right; 2, upside down.
    """
    return torch.where(mirrored.bool()[:, None, None, None], images.flip(axis), images)


def cutout(
    images: torch.Tensor, row: torch.Tensor, column: torch.Tensor, fraction: float
) -> torch.Tensor:
    """Grey out a square of `fraction` of the side around one pixel of every picture.

    images: normalised float (B, C, H, W), in which 0 is the mean colour. The square may overlap
    the edge, as in its paper (DeVries and Taylor 2017, arXiv 1708.04552). 0 <= fraction <= 1.
    row, column: int64 (B,) on the same device, the pixel.
    """
    height, width = images.shape[-2:]
    inside_rows, inside_columns = _hole(height, row, fraction), _hole(width, column, fraction)
    hole = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
    return images.masked_fill(hole, 0.0)


def _moved(side: int, offset: torch.Tensor) -> torch.Tensor:
    """For each picture the source index of every index along one axis, int64 (B, side)."""
    index = (torch.arange(side, device=offset.device) + offset[:, None]).abs()
    return side - 1 - (side - 1 - index).abs()  # reflected at both edges, neither repeated


def _hole(side: int, centre: torch.Tensor, fraction: float) -> torch.Tensor:
    """For each picture whether an index along one axis is in the square, bool (B, side)."""
    length = round(fraction * side)
    first = (centre - length // 2)[:, None]
    index = torch.arange(side, device=centre.device)
    return (index >= first) & (index < first + length)

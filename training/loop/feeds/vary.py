"""Variations of whole batches that not every recipe has: zoom, colour, and classes in balance.

As in ``augment``, everything works on the batch's own device, by what ``augment.draw`` has drawn
for each picture: fields of int64 (B,) by their names, 0 to CHANCES - 1, equally likely.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn.functional import affine_grid, grid_sample

from training.loop.augment import CHANCES


def zoomed(images: torch.Tensor, drawn: Mapping[str, torch.Tensor], most: float) -> torch.Tensor:
    """A random square part of every picture, enlarged to the whole, bilinear.

    images: float (B, C, H, W). The part's side is between 1 - ``most`` and all of the picture's
    (field zoom), and it lies anywhere (zoom_down, zoom_right). 0 <= most < 1.
    """
    scale = 1 - most * drawn["zoom"] / CHANCES
    theta = torch.zeros(len(images), 2, 3, device=images.device, dtype=images.dtype)
    for row, name in enumerate(("zoom_right", "zoom_down")):  # grid_sample's x, then its y
        theta[:, row, row] = scale
        theta[:, row, 2] = (1 - scale) * _either_way(drawn[name])
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def recoloured(
    images: torch.Tensor, drawn: Mapping[str, torch.Tensor], most: float
) -> torch.Tensor:
    """Contrast, brightness and the balance of colours changed, each picture as a whole.

    images: normalised float (B, C, H, W), C 1 or 3, in which 0 is the mean colour and 1 a standard
    deviation. Contrast is multiplied by 1 - ``most`` to 1 + ``most``; brightness moves by up to
    ``most`` deviations; and where there are colours, each of them by up to half as much on its own
    (fields contrast, brightness, red, green, blue). 0 <= most < 1.
    """
    contrast = 1 + most * _either_way(drawn["contrast"])
    shift = most * _either_way(drawn["brightness"])[:, None]
    if images.shape[1] == 3:
        colours = torch.stack([_either_way(drawn[name]) for name in ("red", "green", "blue")], 1)
        shift = shift + most / 2 * colours
    return images * contrast[:, None, None, None] + shift[:, :, None, None]


def _either_way(drawn: torch.Tensor) -> torch.Tensor:
    """-1 to 1, by a field."""
    return 2 * drawn / CHANCES - 1


def balanced_order(labels: torch.Tensor, classes: int, generator: torch.Generator) -> torch.Tensor:
    """The order of one epoch in which every class comes equally often: int64 (N,), N as labels.

    Every class gets N / classes places; which of them get one of the N % classes left over is drawn
    anew. A class fills its places with passes over its pictures, each pass in a fresh order: a rare
    one's pictures come again and again, of a frequent one some wait for another epoch. labels:
    int64 (N,) on the CPU. Raises ValueError where a class has none.
    """
    counts = torch.bincount(labels, minlength=classes)
    if not counts.all():
        raise ValueError(
            f"{len(labels)} training images leave out {int((counts == 0).sum())} of {classes} "
            "classes, which cannot come as often as others: train on more images"
        )
    count = len(labels)
    places = torch.full((classes,), count // classes)
    places[torch.randperm(classes, generator=generator)[: count % classes]] += 1
    parts = []
    for label, wanted in enumerate(places.tolist()):
        own = torch.nonzero(labels == label).flatten()
        passes = -(-wanted // len(own))
        orders = [own[torch.randperm(len(own), generator=generator)] for _ in range(passes)]
        parts += [part[: max(0, wanted - i * len(own))] for i, part in enumerate(orders)]
    order = torch.cat(parts)
    return order[torch.randperm(count, generator=generator)]

"""Pictures of a batch mixed with one another, their labels too, by torchvision's transforms."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torchvision.transforms import v2

from training.loop.feeds.pictures import seeded
from training.recipe import Recipe


class Mixed(NamedTuple):
    """Float (B, C, H, W), and of each class the share that a picture has of it, (B, classes)."""

    images: Tensor
    shares: Tensor


class Mixer:
    """mixup (arXiv:1710.09412) or CutMix (arXiv:1905.04899), as the recipe has them; with both,
    each batch by either, as likely (torchvision's reference training)."""

    def __init__(self, recipe: Recipe, classes: int) -> None:
        wanted = ((v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix))
        self._ways = [way(alpha=alpha, num_classes=classes) for way, alpha in wanted if alpha]
        self._classes = classes

    def __call__(self, images: Tensor, labels: Tensor, seed: int) -> Mixed:
        """images: float (B, C, H, W); labels: int64 (B,). The seed decides all that is random."""
        if not self._ways:  # in a phase that mixes nothing yet
            return Mixed(images, one_hot(labels, self._classes).float())
        with seeded(seed):
            way = self._ways[int(torch.randint(len(self._ways), ()))]
            return Mixed(*way(images, labels))

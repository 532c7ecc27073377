"""Pictures varied one by one, by torchvision's transforms, each by a seed of its own.

What a picture becomes depends on the picture and its seed alone: not on which process varies it,
nor on what was varied before. So the number of processes changes nothing, and a training that goes
on sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from training.data import Split
from training.pictures.scan import Files
from training.recipe import Recipe

_RATIO = 3 / 4, 4 / 3


def transform_of(recipe: Recipe, side: int, mean: Tensor) -> v2.Transform | None:
    """What varies one picture, uint8 (C, H, W), before it is normalised; None: nothing does.

    mean: of each channel, of pixels in 0..1; what a picture does not fill gets this colour.
    """
    grey = [round(255 * value) for value in mean.tolist()]
    steps: list[v2.Transform] = []
    if recipe.crop:
        steps.append(v2.RandomResizedCrop(side, (recipe.crop, 1.0), _RATIO, antialias=True))
    if recipe.policy == "autoaugment":
        steps.append(v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET, fill=grey))
    if recipe.policy == "randaugment":
        steps.append(v2.RandAugment(2, recipe.magnitude, fill=grey))
    if recipe.erase:
        steps.append(v2.RandomErasing(recipe.erase, value=grey))
    return v2.Compose(steps) if steps else None


class Varied(Dataset[Tensor]):
    """The pictures of a split: uint8 (C, side, side) of a place in it, a seed, and which of the
    transforms varies it."""

    def __init__(self, split: Split, transforms: Sequence[v2.Transform | None]) -> None:
        # Not the whole split: images on the meta device cannot be sent to a process.
        self._pictures: Files | Tensor = split.images if split.files is None else split.files
        self._count, self._transforms = len(split), transforms

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, item: tuple[int, int, int]) -> Tensor:
        place, seed, phase = item
        picture, transform = self._pictures[place], self._transforms[phase]
        if transform is None:
            return picture
        with seeded(seed):
            found: Tensor = transform(picture)
        return found


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's own generator on the CPU, seeded for the block and left as it was found."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield

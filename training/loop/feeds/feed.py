"""Batches of pictures that are varied one by one, in this process or in others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torchvision.transforms import v2

from training.data import Data, Split, first
from training.loop.augment import FIELDS
from training.loop.feeds.pictures import Varied, transform_of
from training.recipe import Recipe

_PLACE, _SEED = FIELDS.index("picture"), FIELDS.index("seed")


class Drawn(Sampler[list[tuple[int, ...]]]):
    """The places and seeds of an epoch's batches, as they are told before it."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, ...]]] = []

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class Feed:
    """Pictures of a split, on the CPU, in any order.

    transforms  what varies them in each phase of a training
    workers     processes that read and vary them; 0: this one does
    """

    def __init__(
        self,
        split: Split,
        transforms: Sequence[v2.Transform | None] = (None,),
        workers: int = 0,
    ) -> None:
        self._drawn = Drawn()
        self._loader = DataLoader(
            Varied(split, transforms),
            batch_sampler=self._drawn,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Not forked: this process has threads by now, and forks do not take them along.
            multiprocessing_context="spawn" if workers else None,
            # Of its own: torch's is the network's, whose dropout must not depend on workers.
            generator=torch.Generator(),
        )

    def batches(self, drawn: Tensor, phase: int = 0) -> Iterator[Tensor]:
        """uint8 (B, C, H, W) of each step that ``augment.draw`` has drawn, int64 (steps, fields,
        batch)."""
        return self._of(
            [(place, seed, phase) for place, seed in step[[_PLACE, _SEED]].T.tolist()]
            for step in drawn
        )

    def in_order(self, batch: int) -> Iterator[Tensor]:
        """uint8 (B, C, H, W): all of them, so many at once."""
        places = torch.split(torch.arange(len(self._loader.dataset)), batch)  # type: ignore[arg-type]
        return self._of([(place, 0, 0) for place in some.tolist()] for some in places)

    def _of(self, batches: Iterable[list[tuple[int, ...]]]) -> Iterator[Tensor]:
        self._drawn.batches = list(batches)
        return iter(self._loader)


def feed_of(recipe: Recipe, split: Split, side: int, mean: Tensor, workers: int = 0) -> Feed | None:
    """The feed of a training at ``side`` pixels on ``split``; None where none is needed, because
    the pictures are in memory and varied a batch at once."""
    if split.files is None and not recipe.one_by_one:
        return None
    transforms = [
        transform_of(recipe.in_phase(phase), recipe.side_in(phase, side), mean)
        for phase in range(recipe.phase(recipe.epochs - 1) + 1)
    ]
    return Feed(split, transforms, workers)


def batches_of(split: Split, batch: int, workers: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """The pictures and labels of a split, so many at once, wherever they are."""
    labels = torch.split(split.labels, batch)
    if split.files is None:
        return zip(torch.split(split.images, batch), labels, strict=True)
    return zip(Feed(split, workers=workers).in_order(batch), labels, strict=True)


def held(data: Data, most: int) -> Data:
    """``data`` with its first ``most`` training pictures, a stratified sample, in memory."""
    few = first(data.train, most)
    if few.files is None:
        return data
    images = torch.cat([images for images, _ in batches_of(few, 256)])
    return replace(data, train=Split(images, few.labels))

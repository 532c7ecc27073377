"""Batches of pictures that are varied one by one, in this process or in others."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from training.data import Split
from training.loop.augment import FIELDS
from training.loop.feeds.pictures import Varied, transform_of
from training.recipe import Recipe

_PLACE, _SEED = FIELDS.index("picture"), FIELDS.index("seed")


class _Drawn(Sampler[list[tuple[int, int]]]):
    """The places and seeds of an epoch's batches, as they are told before it."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class Feed:
    """The training pictures of a split, on the CPU, by what ``augment.draw`` has drawn.

    workers  processes that read and vary them; 0: this one does
    """

    def __init__(
        self, split: Split, recipe: Recipe, side: int, mean: Tensor, workers: int = 0
    ) -> None:
        self._drawn = _Drawn()
        self._loader = DataLoader(
            Varied(split, transform_of(recipe, side, mean)),
            batch_sampler=self._drawn,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Not forked: this process has threads by now, and forks do not take them along.
            multiprocessing_context="spawn" if workers else None,
            # Of its own: torch's is the network's, whose dropout must not depend on workers.
            generator=torch.Generator(),
        )

    def batches(self, drawn: Tensor) -> Iterator[Tensor]:
        """uint8 (B, C, H, W) of each step that is drawn, int64 (steps, fields, batch)."""
        self._drawn.batches = [
            list(zip(step[_PLACE].tolist(), step[_SEED].tolist(), strict=True)) for step in drawn
        ]
        yield from self._loader

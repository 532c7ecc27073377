"""The steps of a detector's or segmenter's training, which the checkpoints' keeper can keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from models.deploy.heads import DETECTORS, Head
from training.loop.feeds.feed import Drawn
from training.loop.processes import ALONE
from training.scenes.recipe import SceneRecipe
from training.scenes.scene import IGNORED
from training.scenes.vary import Sample

_SEEDS = 2**31


class SceneTrainer:
    """What one training carries from step to step; the names are ``training.loop.trainer``'s.

    Order, augmentation and weights derive from ``seed``; the number of ``workers`` that decode
    pictures changes nothing. On a CPU the same seed gives the same weights.

    Raises ValueError where there are fewer pictures than a segmenter's batch norms need.
    """

    def __init__(
        self,
        model: nn.Module,
        head: Head,
        recipe: SceneRecipe,
        scenes: Dataset[Sample],
        seed: int,
        device: torch.device,
        workers: int = 0,
    ) -> None:
        self.head, self.recipe, self.device, self.among = head, recipe, device, ALONE
        self.generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.network = self.averaged = model.to(device)
        self.optimizer = _optimizer(model, recipe)
        self._drawn = Drawn()
        self._loader = DataLoader(
            scenes, batch_sampler=self._drawn, num_workers=workers, collate_fn=list,
            persistent_workers=workers > 0, generator=torch.Generator(),
            multiprocessing_context="spawn" if workers else None,
        )  # fmt: skip
        self._count = len(scenes)  # type: ignore[arg-type]
        self._steps = math.ceil(self._count / recipe.batch)
        if not self.detects:
            if self._count < 2 or recipe.batch < 2:
                raise ValueError(
                    f"{self._count} picture(s) in batches of {recipe.batch}: a segmenter's batch "
                    "norms need two at least"
                )
            self._steps = max(1, self._count // recipe.batch)
        self.step, self.steps = 0, recipe.epochs * self._steps
        self.losses: list[float] = []
        self.curve: list[tuple[float, float]] = []
        self.done, self.total = 0, torch.zeros((), device=device)
        self.began = self.generator.get_state()
        self.between: Callable[[], None] = lambda: None

    @property
    def detects(self) -> bool:
        """Boxes, and no masks."""
        return self.head.kind in DETECTORS

    def epoch(self) -> float:
        """One pass over the pictures in a fresh order, or what is left of it; the mean loss.

        Raises FloatingPointError where the loss is no longer finite.
        """
        self._train_mode()
        self.began = self.generator.get_state()
        self._drawn.batches = self._order()[self.done :]
        for samples in self._loader:
            self.between()
            self._set_rate()
            self.total += self._update(samples)
            self.step += 1
            self.done += 1
        self.losses.append(self.total.item() / self.done)
        self.done, self.total = 0, torch.zeros_like(self.total)
        if not math.isfinite(self.losses[-1]):
            raise FloatingPointError(
                f"the loss is {self.losses[-1]} after {len(self.losses)} epochs: diverged, give a "
                "smaller --lr"
            )
        return self.losses[-1]

    def _train_mode(self) -> None:
        self.network.train()
        if self.recipe.keep_norms:
            self.network.backbone.body.eval()  # type: ignore[union-attr]

    def _order(self) -> list[list[tuple[int, ...]]]:
        """The places and seeds of an epoch's batches."""
        places = torch.randperm(self._count, generator=self.generator).tolist()
        seeds = torch.randint(_SEEDS, (self._count,), generator=self.generator).tolist()
        pairs: list[tuple[int, ...]] = list(zip(places, seeds, strict=True))
        batch = self.recipe.batch
        return [pairs[batch * step : batch * (step + 1)] for step in range(self._steps)]

    def _set_rate(self) -> None:
        progress, warmup = self.step / self.steps, self.recipe.warmup
        if progress < warmup:
            share = (self.step + 1) / (warmup * self.steps + 1)
        else:
            share = 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr * share

    def _update(self, samples: list[Sample]) -> Tensor:
        """One step; its loss."""
        loss = self._detected(samples) if self.detects else self._segmented(samples)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        return loss.detach()

    def _detected(self, samples: list[Sample]) -> Tensor:
        pictures = [picture.to(self.device) for picture, _ in samples]
        targets = [{k: v.to(self.device) for k, v in of.items()} for _, of in samples]
        losses: dict[str, Tensor] = self.network(pictures, targets)
        return torch.stack(list(losses.values())).sum()

    def _segmented(self, samples: list[Sample]) -> Tensor:
        pictures = torch.stack([picture for picture, _ in samples]).to(self.device)
        masks = torch.stack([mask for _, mask in samples]).to(self.device)
        logits = self.network(self.head.normalised(pictures))["out"]
        # Not torch's own mean, which is not a number where no pixel has a class.
        known = (masks != IGNORED).sum().clamp(min=1)
        return F.cross_entropy(logits, masks, ignore_index=IGNORED, reduction="sum") / known


def _optimizer(model: nn.Module, recipe: SceneRecipe) -> torch.optim.Optimizer:
    def some(decayed: bool) -> Iterator[Tensor]:
        return (one for one in model.parameters() if (one.ndim > 1) is decayed)

    groups = [
        {"params": list(some(True)), "weight_decay": recipe.weight_decay},
        {"params": list(some(False)), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, recipe.lr)

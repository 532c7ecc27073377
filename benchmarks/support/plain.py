"""The loop that a script of one's own has: torch's DataLoader, autocast, one network at a time.

It stands beside the project's own training wherever a benchmark asks how many times faster that is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from models.build import build
from models.spec import ArchSpec
from training.data import Data
from training.device import autocast
from training.loop.optimizer import schedule
from training.recipe import Recipe


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """The training pictures, one by one, through torchvision's transforms."""

    def __init__(self, data: Data, recipe: Recipe, side: int) -> None:
        self.images, self.labels = data.train.images, data.train.labels
        self.length = min(recipe.images or len(self.images), len(self.images))
        moved = v2.RandomCrop(data.train.images.shape[-1], padding=round(recipe.shift * side))
        flipped = [v2.RandomHorizontalFlip()] if data.flip else []
        self.transform = v2.Compose([moved, *flipped, _resized(data, side)])

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[i]), int(self.labels[i])


def _resized(data: Data, side: int) -> nn.Module:
    steps: nn.Module = v2.Compose(
        [
            v2.Resize(side, antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(data.mean.flatten().tolist(), data.std.flatten().tolist()),
        ]
    )
    return steps


def plain(
    spec: ArchSpec, recipe: Recipe, data: Data, seed: int, device: str = "cpu", loaders: int = 0
) -> float:
    """The validation accuracy of one training: the same network, pictures, resolution, passes,
    batch, schedule and precision as the project's own, ``loaders`` processes for its pictures."""
    torch.manual_seed(seed)
    twin = recipe.network(spec, len(data.classes), data.channels)
    network = build(twin).to(device).train()
    place = torch.device(device)
    batches = DataLoader(
        Pictures(data, recipe, twin.resolution),
        recipe.batch,
        shuffle=True,
        drop_last=True,
        num_workers=loaders,
        pin_memory=device == "cuda",
        persistent_workers=loaders > 0,
    )
    optimizer = torch.optim.SGD(
        network.parameters(),
        recipe.rate(),
        recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
    )
    total = recipe.epochs * len(batches)
    planned = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: schedule(step / total, recipe)
    )
    for _ in range(recipe.epochs):
        for images, labels in batches:
            images, labels = (one.to(device, non_blocking=True) for one in (images, labels))
            with autocast(place):
                logits = network(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if recipe.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizer.step()
            planned.step()
    return _validated(network, recipe, data, twin.resolution, device)


@torch.no_grad()
def _validated(network: nn.Module, recipe: Recipe, data: Data, side: int, device: str) -> float:
    network.eval()
    split = data.validation
    held_out = min(recipe.held_out or len(split), len(split))
    ready = _resized(data, side)
    correct = 0
    for start in range(0, held_out, 500):
        stop = min(start + 500, held_out)
        with autocast(torch.device(device)):
            found = network(ready(split.images[start:stop]).to(device)).argmax(1).cpu()
        correct += int((found == split.labels[start:stop]).sum())
    return correct / held_out

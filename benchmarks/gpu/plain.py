"""The loop that a script of one's own has: torch's DataLoader, autocast, one network at a time."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from benchmarks.timing.proxy_throughput import Pictures
from models.build import build
from models.spec import ArchSpec
from training.data import Data
from training.loop.trainer import autocast, schedule
from training.recipe import Recipe


def plain(spec: ArchSpec, recipe: Recipe, data: Data, device: str, loaders: int) -> float:
    """Seconds of one training and its validation: the same network, pictures, resolution, passes,
    batch, schedule and precision as the project's own, ``loaders`` processes for its pictures."""
    begun = time.perf_counter()
    torch.manual_seed(0)
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
        optimizer, lambda step: schedule(step / total, recipe.warmup)
    )
    for _ in range(recipe.epochs):
        for images, labels in batches:
            images, labels = (one.to(device, non_blocking=True) for one in (images, labels))
            with autocast(place):
                logits = network(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizer.step()
            planned.step()
    _validated(network, recipe, data, twin.resolution, device)
    return time.perf_counter() - begun


@torch.no_grad()
def _validated(network: nn.Module, recipe: Recipe, data: Data, side: int, device: str) -> float:
    network.eval()
    split = data.validation
    held_out = min(recipe.held_out or len(split), len(split))
    ready = v2.Compose(
        [
            v2.Resize(side, antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(data.mean.flatten().tolist(), data.std.flatten().tolist()),
        ]
    )
    correct = 0
    for start in range(0, held_out, 500):
        stop = min(start + 500, held_out)
        with autocast(torch.device(device)):
            found = network(ready(split.images[start:stop]).to(device)).argmax(1).cpu()
        correct += int((found == split.labels[start:stop]).sum())
    return correct / held_out

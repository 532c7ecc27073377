"""The steps of one training: batches, gradients, the learning rate's schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.build import build
from models.spec import ArchSpec
from training.data import Data, Split
from training.loop.augment import augment, cutout, to_float
from training.loop.memory import micro_batch
from training.loop.quick import quicken
from training.recipe import Recipe


class Trainer:
    """What one training carries from step to step.

    A batch goes through the network in ``parts`` micro-batches whose gradients are added up: the
    step, its learning rate and the number of steps are those of the whole batch. Only batch norm
    sees the difference, because its statistics, the running ones too, are each micro-batch's.
    """

    def __init__(
        self,
        twin: ArchSpec,
        recipe: Recipe,
        data: Data,
        split: Split,
        seed: int,
        *,
        network: nn.Module | None = None,
        parts: int = 1,
    ) -> None:
        self.recipe, self.data, self.split, self.parts = recipe, data, split, parts
        self.side = twin.resolution
        # Order and augmentation are drawn apart from the weights, and on the CPU, so that paired
        # seeds see the same images in the same order whatever the network and the device.
        self.generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        if network is None:
            network = build(twin)
            if recipe.zero_init:
                zero_starts(network)
        device = split.labels.device
        self.network = quicken(network.to(device).to(memory_format=torch.channels_last))
        self.averaged: nn.Module = self.network
        if recipe.ema:
            self.averaged = AveragedModel(
                self.network,
                multi_avg_fn=get_ema_multi_avg_fn(recipe.ema),  # type: ignore[no-untyped-call]
                use_buffers=True,
            )
        self.optimizer = _optimizer(self.network, recipe)
        self.batch = recipe.batch_of(len(split))
        self.step, self.steps = 0, recipe.epochs * (len(split) // self.batch)

    @property
    def micro_batch(self) -> int:
        """Images that go through the network at once."""
        return micro_batch(self.batch, self.parts)

    def epoch(self, ends: Callable[[int], bool] | None = None) -> float:
        """One pass over the images in a fresh order, or until ``ends`` of the steps
        done is true; the mean loss."""
        self.network.train()
        total = torch.zeros((), device=self.split.labels.device)
        count = 0
        for images, labels in self._batches():
            total += self._update(images, labels)
            count += 1
            if ends is not None and ends(self.step):
                break
        return total.item() / count

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        recipe, data = self.recipe, self.data
        order = torch.randperm(len(self.split), generator=self.generator)
        order = order[: len(order) // self.batch * self.batch].to(self.split.labels.device)
        for rows in torch.split(order, self.batch):
            images = augment(
                self.split.images[rows], self.generator, shift=recipe.shift, flip=data.flip
            )
            x = to_float(images, self.side, data.mean, data.std, channels_last=True)
            if recipe.cutout:
                x = cutout(x, self.generator, recipe.cutout)
            yield x, self.split.labels[rows]

    def _update(self, images: Tensor, labels: Tensor) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate() * schedule(self.step / self.steps, self.recipe.warmup)
        total = torch.zeros((), device=labels.device)
        for some, of in zip(
            torch.tensor_split(images, self.parts),
            torch.tensor_split(labels, self.parts),
            strict=True,
        ):
            total += self._gradients(some, of, len(of) / len(labels))
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        if isinstance(self.averaged, AveragedModel):
            self.averaged.update_parameters(self.network)
        return total

    def _gradients(self, images: Tensor, labels: Tensor, share: float) -> Tensor:
        """Add the gradients of a micro-batch that is this share of its batch; its loss's part."""
        with autocast(images.device):
            logits = self.network(images)
        smoothing = self.recipe.label_smoothing
        loss = share * F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


def schedule(progress: float, warmup: float) -> float:
    """Share of the peak rate at ``progress`` in [0, 1]: a linear climb, then half a cosine to 0."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def zero_starts(network: nn.Module) -> None:
    """Start the classifier, and every residual branch that ends in a batch norm, at 0.

    The first steps of a short training are then not spent on unlearning random logits and
    branches (Goyal et al. 2017, arXiv:1706.02677, section 5.1).
    """
    for module in network.modules():
        body = getattr(module, "body", None)
        if isinstance(body, nn.Sequential) and hasattr(module, "shortcut") and len(body):
            last = body[-1]
            if isinstance(last, nn.BatchNorm2d):
                nn.init.zeros_(last.weight)
    classifier = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    nn.init.zeros_(classifier.weight)


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Weight decay on convolution and linear weights only, not on norms and biases."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    fused = decayed[0].device.type in ("cpu", "cuda")
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, recipe.rate(), momentum=recipe.momentum, nesterov=True, fused=fused
        )
    return torch.optim.AdamW(groups, recipe.rate(), betas=(recipe.momentum, 0.99), fused=fused)


def autocast(device: torch.device) -> torch.autocast:
    """bf16 on CUDA; elsewhere full precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")

"""The steps of one training: batches, gradients, the learning rate's schedule."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from models.build import build
from models.spec import ArchSpec
from training.data import Data, Split
from training.loop.augment import FIELDS, cutout, draw, mirror, to_float, translate
from training.loop.graph import Graph, Steps
from training.loop.memory import micro_batch
from training.loop.quick import quicken
from training.loop.vary import balanced_order, recoloured, zoomed
from training.recipe import Recipe


class Trainer:
    """What one training carries from step to step.

    A batch goes through the network in so many ``micro_batches``, whose gradients are added up: the
    step, its learning rate and the number of steps are those of the whole batch. Only batch norm
    sees the difference, because its statistics, the running ones too, are each micro-batch's.

    On a GPU nothing in an epoch makes the CPU wait: what is random and the learning rates go there
    before it, the loss comes back after it. With a ``graph`` the step is captured and replayed.
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
        micro_batches: int = 1,
        graph: Graph | None = None,
    ) -> None:
        self.recipe, self.data, self.split = recipe, data, split
        self.micro_batches, self.side = micro_batches, twin.resolution
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
        self.averaged = copy.deepcopy(self.network) if recipe.ema else self.network
        # Where a number in Python would be read too early, or once and for all.
        fixed = device.type == "cuda" or graph is not None
        self._rate = torch.zeros((), device=device) if fixed else None
        self.optimizer = _optimizer(self.network, recipe, self._rate, graph is not None)
        self._mirrors = recipe.mirrors(data.flip)
        self._labels = split.labels.cpu() if recipe.balance else None
        self.batch = recipe.batch_of(len(split))
        self.step, self.steps = 0, recipe.steps(len(split))
        self._steps = Steps(self._update, graph)

    @property
    def micro_batch(self) -> int:
        """Images that go through the network at once."""
        return micro_batch(self.batch, self.micro_batches)

    @property
    def graph(self) -> str | None:
        """Whether steps were captured, as a record tells it; None without a graph."""
        return self._steps.note

    def epoch(self, ends: Callable[[int], bool] | None = None) -> float:
        """One pass over the images in a fresh order, or until ``ends`` of the steps
        done is true; the mean loss."""
        self.network.train()
        total = torch.zeros((), device=self.split.labels.device)
        count = 0
        for drawn, rate in zip(self._drawn(), self._rates(), strict=True):
            self._set(rate)
            total += self._steps(drawn)
            self.step += 1
            count += 1
            if ends is not None and ends(self.step):
                break
        return total.item() / count

    def _drawn(self) -> Tensor:
        """What is random in an epoch, on the device: as ``augment.draw``."""
        recipe, order = self.recipe, None
        if self._labels is not None:
            order = balanced_order(self._labels, len(self.data.classes), self.generator)
        drawn = draw(
            self.generator,
            len(self.split),
            self.batch,
            reach=round(recipe.shift * self.split.images.shape[-1]),
            flip=self._mirrors[0],
            hole_side=self.side if recipe.cutout else None,
            vertical=self._mirrors[1],
            zoom=recipe.zoom > 0,
            colours=recipe.jitter > 0,
            order=order,
        )
        return _sent(drawn, self.split.labels.device)

    def _rates(self) -> Sequence[float] | Tensor:
        """The learning rates of an epoch's steps."""
        steps = range(self.step, self.step + len(self.split) // self.batch)
        warmup, peak = self.recipe.warmup, self.recipe.rate()
        rates = [peak * schedule(step / self.steps, warmup) for step in steps]
        return rates if self._rate is None else _sent(torch.tensor(rates), self._rate.device)

    def _set(self, rate: float | Tensor) -> None:
        if self._rate is not None:
            self._rate.copy_(torch.as_tensor(rate))
            return
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _update(self, drawn: Tensor) -> Tensor:
        """One step, on the device from its beginning to its end; the batch's loss.

        In a graph all of this is done again by the device alone: of what changes from step to step
        nothing may come from Python but the first step, which is never captured.
        """
        images, labels = self._batch(drawn)
        total = torch.zeros((), device=labels.device)
        for some, of in zip(
            torch.tensor_split(images, self.micro_batches),
            torch.tensor_split(labels, self.micro_batches),
            strict=True,
        ):
            total += self._gradients(some, of, len(of) / len(labels))
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.averaged is not self.network:
            _average(self.averaged, self.network, self.recipe.ema if self.step else 0.0)
        return total

    def _batch(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        recipe, of = self.recipe, dict(zip(FIELDS, drawn, strict=True))
        images = translate(self.split.images[of["picture"]], of["down"], of["right"])
        for wanted, name, axis in zip(
            self._mirrors, ("mirrored", "upside_down"), (3, 2), strict=True
        ):
            images = mirror(images, of[name], axis) if wanted else images
        x = to_float(images, self.side, self.data.mean, self.data.std, channels_last=True)
        if recipe.zoom:
            x = zoomed(x, of, recipe.zoom)
        if recipe.jitter:
            x = recoloured(x, of, recipe.jitter)
        if recipe.cutout:
            x = cutout(x, of["row"], of["column"], recipe.cutout)
        return x, self.split.labels[of["picture"]]

    def _gradients(self, images: Tensor, labels: Tensor, share: float) -> Tensor:
        """Add the gradients of a micro-batch that is this share of its batch; its part of the
        loss."""
        with autocast(images.device):
            logits = self.network(images)
        smoothing = self.recipe.label_smoothing
        loss = share * F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """On the device; to a GPU by a copy that nobody waits for."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averages of weights and running statistics towards what they are; decay 0: there.

    As torch's ``AveragedModel``, which would ask the device at every step how many there were.
    """
    means, values = _real(averaged), _real(network)
    if decay:
        get_ema_multi_avg_fn(decay)(means, values, None)  # type: ignore[no-untyped-call]
        return
    for mean, value in zip(means, values, strict=True):
        mean.copy_(value)


def _real(network: nn.Module) -> list[Tensor]:
    tensors = chain(network.parameters(), network.buffers())
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]


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


def _optimizer(
    network: nn.Module, recipe: Recipe, rate: Tensor | None, captured: bool
) -> torch.optim.Optimizer:
    """Weight decay on convolution and linear weights only, not on norms and biases.

    ``rate`` is the tensor that the learning rate is read from; None: each group's own number.
    """
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    lr = recipe.rate() if rate is None else rate
    fused = decayed[0].device.type in ("cpu", "cuda")
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr, momentum=recipe.momentum, nesterov=True, fused=fused)
    return torch.optim.AdamW(
        groups, lr, betas=(recipe.momentum, 0.99), fused=fused, capturable=captured
    )


def autocast(device: torch.device) -> torch.autocast:
    """bf16 on CUDA, each weight cast once in a block; elsewhere full precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")

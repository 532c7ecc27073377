"""How a network's weights start and move: zeros, optimiser, learning rate, running average."""

from __future__ import annotations

import math
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from training.recipe import Recipe


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
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


def optimizer_of(
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

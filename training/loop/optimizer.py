"""How a network's weights start and move: zeros, optimiser, learning rate, running average."""

from __future__ import annotations

import math
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from training.loop.together.sharded import local
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
    return [local(tensor.detach()) for tensor in tensors if tensor.is_floating_point()]


def schedule(progress: float, recipe: Recipe) -> float:
    """Share of the peak rate at ``progress`` in [0, 1]: a linear climb, then as the recipe has it.

    The exponential one decays from the beginning, whose climb hides it, by whole steps, as
    EfficientNet's code does (``utils.build_learning_rate``, staircase).
    """
    if progress < recipe.warmup:
        return progress / recipe.warmup
    if recipe.schedule == "exponential":
        # A share of the steps is seldom exact: a step that is due is not put off by rounding.
        return recipe.decay ** math.floor(progress / recipe.decay_every + 1e-9)
    return 0.5 * (1 + math.cos(math.pi * (progress - recipe.warmup) / (1 - recipe.warmup)))


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
    for one in _classifier(network):
        nn.init.zeros_(one.weight)


def optimizer_of(
    network: nn.Module, recipe: Recipe, rate: Tensor | None, captured: bool
) -> torch.optim.Optimizer:
    """Weight decay on convolution and linear weights only, not on norms and biases.

    Each group's rate is the schedule's times its ``scale``. ``rate`` is the tensor that the
    learning rate is read from; None: each group's own number.

    RMSProp is torch's: what TensorFlow adds to the mean square under the root it adds to the root,
    and its mean squares start at 0, not at 1 (``training.recipe.named``).
    """
    peak = recipe.rate()
    groups = [
        {"params": some, "weight_decay": decay, "scale": scale,
         "lr": peak * scale if rate is None else rate if scale == 1 else rate.clone()}
        for (decay, scale), some in _grouped(network, recipe).items()
    ]  # fmt: skip
    lr = peak if rate is None else rate
    one = next(network.parameters())
    fused = one.device.type in ("cpu", "cuda") and local(one) is one  # torch has none for pieces
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr, momentum=recipe.momentum, nesterov=True, fused=fused)
    eps = 1e-8 if recipe.eps is None else recipe.eps
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(
            groups, lr, recipe.alpha, eps, momentum=recipe.momentum, capturable=captured
        )
    return torch.optim.AdamW(
        groups, lr, betas=(recipe.momentum, 0.99), eps=eps, fused=fused, capturable=captured
    )


def freeze(network: nn.Module) -> None:
    """Let nothing learn but the classifier."""
    network.requires_grad_(False)
    for one in _classifier(network):
        one.requires_grad_(True)


def _grouped(network: nn.Module, recipe: Recipe) -> dict[tuple[float, float], list[nn.Parameter]]:
    """The weights by their weight decay and their rate's scale, those that decay first."""
    last = len(getattr(network, "stages", ())) + 1
    classifier = {weight for one in _classifier(network) for weight in one.parameters()}
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for decayed in (True, False):
        for name, weight in network.named_parameters():
            if (weight.ndim > 1) is decayed:
                scale = 1.0
                if recipe.layer_decay != 1:
                    scale = recipe.layer_decay ** (last - _part(name, last))
                scale *= recipe.head_rate if weight in classifier else 1
                key = recipe.weight_decay if decayed else 0.0, scale
                found.setdefault(key, []).append(weight)
    return found


def _part(name: str, last: int) -> int:
    """Which part of a network has the weight of that name: the stem 0, the head ``last``."""
    first, _, rest = name.partition(".")
    if first == "stages":
        return 1 + int(rest.partition(".")[0])
    return 0 if first == "stem" else last


def _classifier(network: nn.Module) -> list[nn.Linear]:
    """The last linear layer; none where another process has the head."""
    head = getattr(network, "head", network)
    return [module for module in head.modules() if isinstance(module, nn.Linear)][-1:]

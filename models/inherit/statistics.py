"""Batch norm's running statistics and channels' effects, measured on the user's pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from models.inherit.maps import column_norms


def rebase(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Move batch norm's running statistics onto the pictures, and the difference into γ and β.

    In eval mode the function stays the same, to rounding; in train mode it is then the same too,
    where the batch is like the pictures. ``batches``: (N, channels, side, side) each. As nothing
    changes, one pass measures all norms.

    Raises ValueError where a norm meets a single value a channel.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm, (mean, variance) in _moments(network, norms, batches).items():
            was = (norm.running_var + norm.eps).double().sqrt()
            now = (variance + norm.eps).sqrt()
            shift = norm.weight * (mean - norm.running_mean) / was
            norm.bias += shift.to(norm.bias.dtype)
            norm.weight *= (now / was).to(norm.weight.dtype)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)


def recalibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Batch norm's running statistics measured anew, γ and β kept: for what has changed.

    Each batch is normalised by its own statistics on the way, and what a norm keeps is the mean
    over the batches; dropout and stochastic depth stay off.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    with _evaluating(network), torch.no_grad():
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean
            norm.train()
        for batch in batches:
            network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def effects(network: nn.Module, batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """``importance`` for ``inherit``, measured: by the name of each convolution and linear layer,
    the standard deviation of what each input channel adds to its output."""
    names = {m: name for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    found = {}
    for module, (_, variance) in _moments(network, list(names), batches).items():
        norms = column_norms(module.weight.detach(), getattr(module, "groups", 1))
        found[names[module]] = variance.clamp(min=0).sqrt().float() * norms
    return found


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode for a while; every module gets its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _moments(
    network: nn.Module, modules: list[nn.Module], batches: Iterable[Tensor]
) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """Mean and unbiased variance of each input channel of ``modules`` in eval mode, in float64."""
    sums: dict[nn.Module, list[Tensor | int]] = {}

    def watch(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        x = args[0].detach().double()
        x = x.flatten(0, -2) if isinstance(module, nn.Linear) else x.transpose(0, 1).flatten(1).T
        parts = (len(x), x.sum(dim=0), x.square().sum(dim=0))
        sums[module] = [a + b for a, b in zip(sums.get(module, (0, 0, 0)), parts, strict=True)]

    handles = [module.register_forward_pre_hook(watch) for module in modules]
    try:
        with _evaluating(network), torch.no_grad():
            for batch in batches:
                network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {module: _mean_and_variance(*total) for module, total in sums.items()}


def _mean_and_variance(count: int, total: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    if count < 2:
        raise ValueError("a norm meets one value a channel: give more pictures, or larger ones")
    mean = total / count
    return mean, (squares / count - mean.square()).clamp(min=0) * (count / (count - 1))

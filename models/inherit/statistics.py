"""Batch norm's running statistics and channels' effects, measured on the user's pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from models.inherit.maps import column_norms

M = TypeVar("M", bound=nn.Module)


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
            if norm.running_mean is None or norm.running_var is None:
                continue  # it takes each batch's own, whatever the pictures are
            mean, variance = mean.to(norm.weight.device), variance.to(norm.weight.device)
            was = (norm.running_var.double() + norm.eps).sqrt()
            now = (variance + norm.eps).sqrt()
            norm.bias.add_((norm.weight * (mean - norm.running_mean) / was).to(norm.bias.dtype))
            norm.weight.mul_((now / was).to(norm.weight.dtype))
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
        groups = module.groups if isinstance(module, nn.Conv2d) else 1
        norms = column_norms(module.weight.detach(), groups)
        found[names[module]] = variance.sqrt().float().to(norms.device) * norms
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
    network: nn.Module, modules: Sequence[M], batches: Iterable[Tensor]
) -> dict[M, tuple[Tensor, Tensor]]:
    """Mean and unbiased variance of each input channel of ``modules`` in eval mode, in float64."""
    parts: dict[M, list[tuple[int, Tensor, Tensor]]] = {}

    def watch(module: M, args: tuple[Tensor, ...]) -> None:
        x = args[0].detach()
        axes = tuple(range(x.dim() - 1)) if isinstance(module, nn.Linear) else (0, 2, 3)
        variance, mean = torch.var_mean(x, axes, correction=0)
        parts.setdefault(module, []).append((x.numel() // len(mean), mean, variance))

    handles = [module.register_forward_pre_hook(watch) for module in modules]
    try:
        with _evaluating(network), torch.no_grad():
            for batch in batches:
                network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {module: _pooled(module_parts) for module, module_parts in parts.items()}


def _pooled(parts: list[tuple[int, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Of all batches' values together, from each one's count, mean and biased variance."""
    counts = torch.tensor([count for count, _, _ in parts], dtype=torch.float64)[:, None]
    means = torch.stack([mean for _, mean, _ in parts]).double().cpu()
    variances = torch.stack([variance for _, _, variance in parts]).double().cpu()
    total = float(counts.sum())
    if total < 2:
        raise ValueError("a norm meets one value a channel: give more pictures, or larger ones")
    mean = (counts * means).sum(dim=0) / total
    squares = (counts * (variances + (means - mean).square())).sum(dim=0)
    return mean, squares / (total - 1)

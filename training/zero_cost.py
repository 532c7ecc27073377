"""Scores of untrained networks: one or a few looks at some pictures, no step taken.

Each is (spec, data, seed, device) → a number, more being better, and takes about a second on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.build import build
from models.spec import ArchSpec
from training.data import Data
from training.loop.augment import to_float
from training.loop.train import first

PICTURES = 16  # that one look takes in
LOOKS = 4  # of ZiCo, which needs the spread of gradients between them
SIDE = 64  # pixels they are resized to: a network of stride 32 keeps 2 in its last maps
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish)


def snip(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """log Σ |w · ∂L/∂w| over convolution and linear weights (Lee et al. 2019, arXiv:1810.02340).

    As a score of whole networks: Abdelfattah et al. 2021 (arXiv:2101.08134), section 3.2.
    """
    network = _fresh(spec, data, seed, device).train()
    grads = next(_gradients(network, data, device))
    pairs = zip(_weights(network), grads, strict=True)
    return math.log(sum(float((w.detach() * g).abs().sum()) for w, g in pairs))


def gradient_norm(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """log Σ ‖∂L/∂w‖ over layers (Abdelfattah et al. 2021, section 3.2)."""
    network = _fresh(spec, data, seed, device).train()
    return math.log(sum(float(g.norm()) for g in next(_gradients(network, data, device))))


def zico(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """Σ over layers of log Σ E|g| / sd|g|, over batches (Li et al. 2023, arXiv:2301.11300, eq. 15).

    Weights whose gradients do not vary between the batches are left out.
    """
    network = _fresh(spec, data, seed, device).train()
    looks = _gradients(network, data, device, LOOKS)
    score = 0.0
    for grads in zip(*looks, strict=True):
        stacked = torch.stack(grads).abs()
        spread, mean = stacked.std(0), stacked.mean(0)
        score += math.log(float((mean / spread)[spread > 0].sum()) + 1e-12)
    return score


def naswot(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """log |K| of the overlap of activation patterns (Mellor et al. 2021, arXiv:2006.04647, eq. 2).

    K[i, j] counts the units that pictures i and j put on the same side of 0, in all activation
    layers; the paper's are ReLUs, here the sign of what enters any smooth relative counts alike.
    """
    network = _fresh(spec, data, seed, device).train()
    kernel = torch.zeros(PICTURES, PICTURES, dtype=torch.double, device=device)

    def count(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        positive = (inputs[0] > 0).flatten(1).double()
        kernel.add_(positive @ positive.T + (1 - positive) @ (1 - positive).T)

    for module in network.modules():
        if isinstance(module, ACTIVATIONS):
            module.register_forward_pre_hook(count)
    images, _ = _look(data, 0, device)
    with torch.no_grad():
        network(images)
    return float(torch.linalg.slogdet(kernel[: len(images), : len(images)])[1])


def synflow(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """log Σ w · ∂R/∂w of the network of absolute weights on a picture of ones, no norms.

    Tanaka et al. 2020 (arXiv:2006.05467). In double precision: R is a product over all layers.
    With ReLU throughout, which lets positive sums pass as they are; a ReLU6 would cap them.
    """
    network = _fresh(replace(spec, activation="relu"), data, seed, device).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.ReLU6):
            module.forward = _pass  # type: ignore[method-assign]
    for parameter in network.parameters():
        parameter.data.abs_()
    ones = torch.ones(1, data.channels, SIDE, SIDE, dtype=torch.double, device=device)
    network(ones).sum().backward()
    total = sum(float((w.detach() * _grad(w)).sum()) for w in _weights(network))
    return math.log(max(total, 1e-300))


def _fresh(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> nn.Module:
    changes = {"classes": len(data.classes), "in_channels": data.channels, "resolution": SIDE}
    plain = replace(spec, dropout=0.0, drop_path=0.0, **changes)  # type: ignore[arg-type]
    with _seeded(seed):
        return build(plain).to(device)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torch's own generator, seeded for the block and left as it was found."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _look(data: Data, number: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The ``number``-th few pictures and their labels; from the first again where they run out."""
    few = first(data.train, (number + 1) * PICTURES).to(device)
    images, labels = few.images[-PICTURES:], few.labels[-PICTURES:]
    return to_float(images, SIDE, data.mean.to(device), data.std.to(device)), labels


def _gradients(
    network: nn.Module, data: Data, device: torch.device, looks: int = 1
) -> Iterator[list[Tensor]]:
    """The gradients of convolution and linear weights, from one few pictures after another."""
    for number in range(looks):
        images, labels = _look(data, number, device)
        network.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        yield [_grad(weight) for weight in _weights(network)]


def _weights(network: nn.Module) -> list[Tensor]:
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [layer.weight for layer in layers]


def _pass(input: Tensor) -> Tensor:
    return input


def _grad(weight: Tensor) -> Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight.grad

"""An experiment: networks of equal shapes in one vectorised step, by ``torch.func``."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import (
    functional_call,
    grad,
    replace_all_batch_norm_modules_,
    stack_module_state,
    vmap,
)

from benchmarks.gpu.ways.ceilings import wait
from models.build import build
from models.spec import ArchSpec
from training.device import autocast


def images_a_second(
    twin: ArchSpec, count: int, batch: int, device: str, seconds: float, rate: float = 0.05
) -> float:
    """Images of all ``count`` networks a second, by plain gradient steps on random pictures.

    Batch norms keep no running statistics, which the vectoriser would not write to.
    """
    place = torch.device(device)
    networks = [build(twin).to(place).to(memory_format=torch.channels_last) for _ in range(count)]
    for network in networks:
        replace_all_batch_norm_modules_(network)
    params, buffers = stack_module_state(networks)
    base = networks[0]

    def loss(some: dict[str, Tensor], kept: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        with autocast(place):
            logits = functional_call(base, (some, kept), (x,))
        return F.cross_entropy(logits.float(), y)

    gradients = vmap(grad(loss), randomness="different")
    side = twin.resolution
    x = torch.randn(count, batch, twin.in_channels, side, side, device=place)
    y = torch.randint(0, twin.classes, (count, batch), device=place)

    def step() -> None:
        found = gradients(params, buffers, x, y)
        with torch.no_grad():
            torch._foreach_add_(
                list(params.values()), [found[name] for name in params], alpha=-rate
            )

    step()
    step()
    wait(device)
    steps, start = 0, time.perf_counter()
    while steps < 2 or time.perf_counter() - start < seconds:
        step()
        wait(device)
        steps += 1
    return steps * count * batch / (time.perf_counter() - start)

"""What a training step takes of the device's memory, against the estimate."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch.nn.functional import cross_entropy

from benchmarks.gpu.step import Place
from models.build import build
from models.families import family
from models.memory import step_bytes
from models.spec import ArchSpec
from training.device import autocast

_STEPS = 2


def measure(place: Place) -> None:
    """A row for each network."""
    for name, batch, side in place.scale.memory:
        spec = family(name) if side is None else replace(family(name), resolution=side)
        place.page.part(f"{name}, batch {batch}", partial(_row, place, spec, batch))


def _row(place: Place, spec: ArchSpec, batch: int) -> None:
    estimate = step_bytes(spec, batch, map_bytes=2 if place.scale.device == "cuda" else 4)
    peak = _peak(spec, batch, torch.device(place.scale.device))
    place.page.row(
        "peak of a training step",
        network=spec.name,
        batch=batch,
        pixels=spec.resolution,
        estimate_GiB=estimate / 2**30,
        peak_GiB=peak / 2**30 if peak else "unknown on a CPU",
        peak_over_estimate=peak / estimate if peak else "",
    )


def _peak(spec: ArchSpec, batch: int, device: torch.device) -> int:
    """Bytes; 0 on a device that does not tell."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    network = build(spec).to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)
    shape = (batch, spec.in_channels, spec.resolution, spec.resolution)
    images = torch.rand(shape, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)
    for _ in range(_STEPS):
        with autocast(device):
            logits = network(images)
        cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else 0

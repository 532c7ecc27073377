"""What a network's first steps cost in a process, by ways to compute its convolutions."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch.nn.functional import cross_entropy

from benchmarks.gpu.adapter import candidates
from benchmarks.gpu.plan import FULL, REHEARSAL, Scale
from benchmarks.gpu.step import Place
from benchmarks.gpu.ways.ceilings import wait
from benchmarks.gpu.ways.layers import WAYS, altered, settings
from models.build import build
from models.spec import ArchSpec
from training.device import autocast
from training.loop.graph import CudaGraph


def measure(place: Place) -> None:
    """A row a network, each way in a fresh process: nothing is prepared there."""
    for way in WAYS:
        most = max(10.0, place.page.left() / 2) if way != WAYS[-1] else 1e9
        place.page.part(way, partial(_ask, place, way), most=most, least=5)


def _ask(place: Place, way: str) -> None:
    line = [sys.executable, "-m", "benchmarks.gpu.steps.beginnings", way, place.scale.device]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            for said in process.stdout or ():
                place.page.row("first steps of networks in a process", way=way, **json.loads(said))
            if process.wait():
                raise RuntimeError(f"exit code {process.returncode}: see the log")
        finally:
            process.kill()


def main(way: str, device: str) -> None:
    """Print the seconds of the steps of two networks, one after the other, as JSON."""
    start = time.perf_counter()
    torch.randn(64, 64, device=device).matmul(torch.randn(64, 64, device=device))
    wait(device)
    began = time.perf_counter() - start
    scale = FULL if device == "cuda" else REHEARSAL
    for spec in candidates(2):
        found = {"network": spec.name, **steps(spec, scale, way)}
        print(json.dumps({**found, "device_began_s": began}), flush=True)


def steps(spec: ArchSpec, scale: Scale, way: str) -> dict[str, float]:
    """Seconds of the first and second step of its twin's training and milliseconds of the others,
    as a graph too on CUDA; on random pictures."""
    device = torch.device(scale.device)
    with settings(way):
        step = _stepping(spec, scale, way, device)
        seconds = [_seconds(step, scale.device) for _ in range(2 + scale.profiled)]
        others = 1e3 * statistics.median(seconds[2:])
        found = {"first_s": seconds[0], "second_s": seconds[1], "others_ms": others}
        if device.type == "cuda":
            graph = CudaGraph(device)
            graph.warm_up(step)
            found["capturing_s"] = _seconds(lambda: graph.capture(step), scale.device)
            again = [_seconds(graph.replay, scale.device) for _ in range(scale.profiled)]
            found["replayed_ms"] = 1e3 * statistics.median(again)
    return found


def _seconds(work: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - start


def _stepping(
    spec: ArchSpec, scale: Scale, way: str, device: torch.device
) -> Callable[[], torch.Tensor]:
    """A step of its twin's training, the same each time."""
    batch = scale.recipe.batch
    twin = scale.recipe.network(spec, 10, 3)
    network = build(twin).to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(altered(network, way).parameters(), 1e-3, fused=True)
    images = torch.rand(batch, 3, twin.resolution, twin.resolution, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch, device=device) % 10

    def step() -> torch.Tensor:
        with autocast(device):
            logits = network(images)
        loss = cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Where a training's time goes, by kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.ways.ceilings import wait

_LONGEST_NAME = 90


class Kernel(NamedTuple):
    """A kernel's calls, and their seconds in all."""

    name: str
    calls: int
    seconds: float


def kernels(work: Callable[[], object], device: str, table: Path) -> list[Kernel]:
    """The kernels of ``work``, the longest first; ``table`` gets all of them as text.

    On the CPU operators stand for kernels. ``work`` runs once before it is looked at.
    """
    work()
    wait(device)
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
    with profile(activities=activities) as seen:
        work()
        wait(device)
    events = [_kernel(event, device) for event in seen.key_averages()]
    ranked = sorted((one for one in events if one), key=lambda one: -one.seconds)
    total = sum(one.seconds for one in ranked) or 1.0
    lines = [
        f"{1e3 * one.seconds:10.3f} ms {one.seconds / total:7.1%} {one.calls:7d} × {one.name}"
        for one in ranked
    ]
    table.write_text("\n".join(lines) + "\n")
    return ranked


def _kernel(event: Any, device: str) -> Kernel | None:
    """None for what is no kernel: on a GPU, operators and annotations hold kernels' time too."""
    name = event.key if len(event.key) <= _LONGEST_NAME else f"{event.key[:_LONGEST_NAME]}…"
    if device != "cuda":
        return Kernel(name, event.count, event.self_cpu_time_total / 1e6)
    if event.device_type.name != "CUDA" or getattr(event, "is_user_annotation", False):
        return None
    return Kernel(name, event.count, event.self_device_time_total / 1e6)

"""How long a network takes for a batch.

Wall time of one forward pass in evaluation mode and single precision, channels last, at the
network's own resolution, its input already on the device. On a GPU the device is waited for before
and after each pass, so a small network's time holds what it takes to launch its kernels.
"""

from __future__ import annotations

import functools
import math
import platform
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.build import build
from models.spec import ArchSpec
from training.device import choose_device
from trials.latencies import Reading, reading_of

REPEATS, WARMUP = 50, 10
_FEWEST = 10  # passes that are timed, however long they take
_PASSES, _WARMUP = 4, 1  # of a timing by ``Stopwatch``


def latency(
    spec: ArchSpec,
    device: torch.device | str = "auto",
    batch: int = 1,
    *,
    repeats: int = REPEATS,
    warmup: int = WARMUP,
    longest: float = math.inf,
    network: nn.Module | None = None,
) -> Reading:
    """Measure ``spec`` with fresh weights, or the built ``network``, which is moved and set to
    evaluation mode.

    The first ``warmup`` passes, in which memory is allocated and algorithms are chosen, are not
    counted. Of a slow network fewer than ``repeats`` passes are timed: at least 10, and no further
    ones after ``longest`` seconds, warm-up included. The spread is of the passes in this process:
    other work on the machine widens it.

    Raises ValueError for a batch or repeats below 1, a negative warm-up, a device that is not
    there, and a batch that does not fit into a GPU's memory.
    """
    for name, value, least in (("batch", batch, 1), ("repeats", repeats, 1), ("warmup", warmup, 0)):
        if value < least:
            raise ValueError(f"{name} {value} must be at least {least}")
    place = choose_device(device) if isinstance(device, str) else device
    network = (build(spec) if network is None else network).eval()
    shape = (batch, spec.in_channels, spec.resolution, spec.resolution)
    try:
        network = network.to(place).to(memory_format=torch.channels_last)
        images = torch.rand(shape, device=place).contiguous(memory_format=torch.channels_last)
        seconds = _passes(network, images, warmup, repeats, longest)
    except torch.cuda.OutOfMemoryError:
        raise ValueError(f"batch {batch} does not fit on {place}: choose a smaller one") from None
    return reading_of(seconds)


def circumstances(device: torch.device, batch: int) -> dict[str, Any]:
    """What a latency holds for, as JSON: the device, threads (None on a GPU), batch, torch."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    threads = torch.get_num_threads() if device.type == "cpu" else None
    return {
        "device": str(device),
        "gpu": gpu,
        "threads": threads,
        "batch": batch,
        "torch": str(torch.__version__),
    }


@torch.inference_mode()
def _passes(
    network: nn.Module, images: torch.Tensor, warmup: int, repeats: int, longest: float
) -> list[float]:
    seconds: list[float] = []
    for done in range(warmup + repeats):
        if done >= warmup + _FEWEST and sum(seconds) >= longest:
            break
        _wait(images.device)
        start = time.perf_counter()
        network(images)
        _wait(images.device)
        seconds.append(time.perf_counter() - start)
    return seconds[warmup:]


def _wait(device: torch.device) -> None:
    """Kernels are queued: the clock may be read only when the queue is empty."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


class Stopwatch:
    """``measure`` of ``trials.latencies``: four passes after one that does not count.

    threads       on a CPU; elsewhere they make no difference
    measured_on   what the timings hold for, as JSON

    Raises ValueError for a device that is not there.
    """

    def __init__(self, device: str, batch: int = 1, threads: int = 1) -> None:
        self._device, self._batch, self._threads = choose_device(device), batch, threads
        self._built = functools.lru_cache(maxsize=2)(build)  # timed in turn with another
        self.measured_on: dict[str, Any] = circumstances(self._device, batch)
        if self._device.type == "cpu":
            self.measured_on |= {"threads": threads, "processor": _processor()}

    def __call__(self, spec: ArchSpec) -> Reading:
        """Seconds for one batch."""
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)  # a search's proposals run on one thread
        try:
            return latency(
                spec,
                self._device,
                self._batch,
                repeats=_PASSES,
                warmup=_WARMUP,
                network=self._built(spec),
            )
        finally:
            torch.set_num_threads(before)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())

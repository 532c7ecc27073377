"""Short timings of networks on one device: what a search whose cost is latency is given."""

from __future__ import annotations

import functools
import platform
from pathlib import Path
from typing import Any

import torch

from models.build import build
from models.spec import ArchSpec
from training.latency import Latency, circumstances, latency
from training.train import choose_device

_PASSES, _WARMUP = 4, 1


class Clock:
    """``measure`` of ``trials.paired``: four passes after one that does not count.

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

    def __call__(self, spec: ArchSpec) -> Latency:
        """Seconds for one batch."""
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)  # a search's proposals run on one thread
        try:
            return latency(
                spec, self._device, self._batch, repeats=_PASSES, warmup=_WARMUP,
                network=self._built(spec),
            )  # fmt: skip
        finally:
            torch.set_num_threads(before)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())

"""How busy others keep the cores that this process runs on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path("/")
_BUSY = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq and steal, another guest of the host


class Others:
    """``cores`` that other processes, and other guests of the host, kept busy on average; None
    where that is not known."""

    cores: float | None = None


@contextmanager
def others(root: Path = _ROOT) -> Iterator[Others]:
    """A block at whose end it is known how many of this process's cores others kept busy."""
    found = Others()
    busy, own, begun = _busy_seconds(root), time.process_time(), time.monotonic()
    yield found
    after, wall = _busy_seconds(root), time.monotonic() - begun
    if busy is not None and after is not None and wall > 0:
        found.cores = max(0.0, after - busy - (time.process_time() - own)) / wall


def _busy_seconds(root: Path) -> float | None:
    """Core-seconds since the start of the machine, by Linux's /proc/stat."""
    try:
        lines = (root / "proc/stat").read_text("ascii").splitlines()
        names = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        every = [line.split() for line in lines]
        ticks = [int(one[1 + place]) for one in every if one[0] in names for place in _BUSY]
        return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None
    except (OSError, AttributeError, ValueError, IndexError):  # not Linux, or nothing to read there
        return None

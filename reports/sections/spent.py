"""What trainings cost."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

_THREADS = re.compile(r"\((\d+) threads?\)")  # as training.loop.train.made_on writes a device


class Timed(Protocol):
    """What took so many seconds on a device."""

    @property
    def seconds(self) -> float: ...
    @property
    def device(self) -> str: ...


def spent(trainings: Iterable[Timed]) -> str:
    """``"12.3 core-minutes on cpu"``; minutes of devices whose cores are not told, "none" of no
    training."""
    totals: dict[str, float] = defaultdict(float)
    for one in trainings:
        cores = _THREADS.search(one.device)
        if cores is None:
            totals[f"minutes on {one.device}"] += one.seconds / 60
        else:
            where = one.device[: cores.start()].strip()
            totals[f"core-minutes on {where}"] += int(cores[1]) * one.seconds / 60
    return ", ".join(f"{total:.1f} {unit}" for unit, total in sorted(totals.items())) or "none"

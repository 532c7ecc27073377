"""What trainings cost, and a run in energy."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from common.energy import in_words
from reports.page import Page
from trials.energy import kept

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


def about_energy(page: Page, run_dir: Path) -> None:
    """The joules that the run's directory tells; nothing where they are not known."""
    if joules := kept(run_dir):
        page.text(f"Energy: {in_words(joules)}.")

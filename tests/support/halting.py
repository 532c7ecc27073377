"""A training of several processes that one of them is told to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from training.loop.checkpoints.keeper import Halted, Keeper
from training.loop.processes import Processes
from training.loop.trainer import Trainer


@contextmanager
def halted(out: Path, among: Processes) -> Iterator[Keeper]:
    """A block in which a training of 30 steps gets SIGTERM in the second process's 14th, and stops
    after it in every process; what it is to be given as its keeper."""
    update = Trainer._update

    def stopped(self: Trainer, *given: Any) -> Tensor:
        if (self.step, among.rank) == (13, 1):
            os.kill(os.getpid(), signal.SIGTERM)
        return update(self, *given)

    Trainer._update = stopped  # type: ignore[method-assign]
    keeper = Keeper(out, 1e9, {})
    try:
        with keeper.listening(), pytest.raises(Halted, match="after step 14 of 30"):
            yield keeper
    finally:
        Trainer._update = update  # type: ignore[method-assign]

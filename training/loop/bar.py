"""A training's epochs on the screen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from common.bars import tqdm
from training.loop.attempt import OnEpoch, OnStep

_FORMAT = "{desc}{percentage:3.0f}%|{bar}| {n:.1f}/{total} epochs [{elapsed}<{remaining}{postfix}]"
_OF_A_LOG = 10.0  # seconds between lines where nobody watches


@contextmanager
def shown(epochs: int, said: str | None = None) -> Iterator[tuple[OnEpoch, OnStep]]:
    """A bar on stderr, ``said`` before it, and the ``on_epoch`` and ``on_step`` that move it.

    A training that begins again takes the bar back with it.
    """
    pause = 0.1 if sys.stderr.isatty() else _OF_A_LOG
    bar = tqdm(total=epochs, desc=said, file=sys.stderr, bar_format=_FORMAT, mininterval=pause)
    with bar:

        def step(done: float) -> None:
            bar.update(done - bar.n)

        def show(epoch: int, loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            step(epoch + 1)
            bar.refresh()

        yield show, step

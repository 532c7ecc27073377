"""A training's epochs on the screen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never

from tqdm import tqdm

from training.loop.train import OnEpoch


@contextmanager
def shown(epochs: int, said: str | None = None) -> Iterator[tuple[tqdm[Never], OnEpoch]]:
    """A bar on stderr, ``said`` before it, and the ``on_epoch`` that moves it.

    A training that begins again takes the bar back with it.
    """
    bar = tqdm(total=epochs, desc=said, unit="epoch", file=sys.stderr)
    with bar:

        def show(epoch: int, loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.4f}")
            bar.update(epoch + 1 - bar.n)

        yield bar, show

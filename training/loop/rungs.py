"""A training measured on its way, and the bars below which it ends."""

from __future__ import annotations

from collections.abc import Callable

from trials.record import Rungs

PICTURES = 500  # validation pictures that a rung is measured on, at most: it must cost little


class Ladder:
    """The rungs of a training of ``steps`` steps; ``measure`` gives the accuracy as it stands."""

    def __init__(self, bars: Rungs, steps: int, measure: Callable[[], float]) -> None:
        at = {round(share * steps): (share, bar) for share, bar in bars}
        self._at = {step: rung for step, rung in at.items() if 0 < step < steps}
        self._measure = measure
        self.curve: list[tuple[float, float]] = []

    def ends(self, step: int) -> bool:
        """Whether the training is to end, ``step`` steps being done; measures where that is a
        rung."""
        if step not in self._at:
            return False
        share, bar = self._at[step]
        self.curve.append((share, self._measure()))
        return self.curve[-1][1] < bar


def is_below(curve: Rungs, bars: Rungs) -> bool:
    """Whether what was measured last was below its bar."""
    return bool(curve) and curve[-1][1] < dict(bars)[curve[-1][0]]

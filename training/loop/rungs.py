"""A training measured on its way, and the bars below which it ends."""

from __future__ import annotations

from collections.abc import Callable

from trials.record import Rungs

PICTURES = 500  # validation pictures that a rung is measured on, at most: it must cost little
POINTS = 20  # rungs of a training that is only looked at


class Ladder:
    """The rungs of a training of ``steps`` steps; ``measure`` gives the accuracy as it stands.

    ``curve`` has the shares and accuracies of those that are done, and is added to.
    """

    def __init__(
        self,
        bars: Rungs,
        steps: int,
        measure: Callable[[], float],
        curve: list[tuple[float, float]] | None = None,
    ) -> None:
        at = {round(share * steps): (share, bar) for share, bar in bars}
        self._at = {step: rung for step, rung in at.items() if 0 < step < steps}
        self._measure = measure
        self.curve = [] if curve is None else curve

    def ends(self, step: int) -> bool:
        """Whether the training is to end, ``step`` steps being done; measures where that is a
        rung."""
        if step not in self._at:
            return False
        share, bar = self._at[step]
        self.curve.append((share, self._measure()))
        return self.curve[-1][1] < bar


def watched(epochs: int) -> Rungs:
    """Rungs at the ends of epochs, evenly, at most ``POINTS``, that end no training."""
    every = -(-epochs // POINTS)
    return tuple((epoch / epochs, 0.0) for epoch in range(every, epochs, every))


def is_below(curve: Rungs, bars: Rungs) -> bool:
    """Whether what was measured last was below its bar."""
    return bool(curve) and curve[-1][1] < dict(bars)[curve[-1][0]]

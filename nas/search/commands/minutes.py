"""--minutes of a network search, dealt out to what is trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

_LEAST = 1e-3  # in which one training a worker begins


class Minutes:
    """So many in all since ``begun``, by the ``clock`` in seconds; None: no end.

    ``units`` are how long each part would take, in any unit, in their order: trials, finals,
    comparisons. What one part leaves, or takes beyond its share, is the next ones'.
    """

    def __init__(
        self,
        minutes: float | None,
        units: Mapping[str, float],
        begun: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._minutes, self._units, self._clock = minutes, dict(units), clock
        self._begun = begun

    def of(self, part: str) -> float | None:
        """After so many no training of that part begins: its share of what is left for it and for
        all that follow."""
        if self._minutes is None:
            return None
        names = list(self._units)
        rest = sum(self._units[name] for name in names[names.index(part) :])
        left = self._minutes - (self._clock() - self._begun) / 60
        return max(left * self._units[part] / rest, _LEAST) if rest else _LEAST

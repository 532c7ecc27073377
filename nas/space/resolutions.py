"""At how many pixels a network that is known already costs about a budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from models.cost import cost
from models.spec import ArchSpec

STEP = 16  # pixels: sides are one more than a multiple, where this project's padding and
# TensorFlow's agree, which published weights are used to (docs/transfer.md)
LEAST = 65
WITHIN = 0.6, 1.7  # of the budget: what costs more is cut to it, what costs less may grow
MOST = 5


def highest(spec: ArchSpec, sides: Iterable[int], budget: float) -> ArchSpec | None:
    """``spec`` at the most of ``sides`` at which it costs at most ``budget`` multiply-adds; None
    where it costs more at each."""
    at = (replace(spec, resolution=side) for side in sorted(sides, reverse=True))
    return next((one for one in at if cost(one).macs <= budget), None)


def sides_about(spec: ArchSpec, budget: float) -> tuple[int, ...]:
    """Up to five sides, ascending, at which ``spec`` costs about ``budget`` multiply-adds.

    At the lower ones a network of that budget is larger than ``spec``, at the higher ones leaner:
    which of them is better on given pictures, a search can find out. Empty where there is none.
    """
    low, high = WITHIN
    found: list[tuple[float, int]] = []
    side = LEAST
    while (share := cost(replace(spec, resolution=side)).macs / budget) <= high:
        if share >= low:
            found.append((max(share, 1 / share), side))
        side += STEP
    return tuple(sorted(side for _, side in sorted(found)[:MOST]))

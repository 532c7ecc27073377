"""At how many pixels a network that is known already is worth searching around, for a budget."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace

from models.cost import cost
from models.scale import PHIS, compound
from models.spec import ArchSpec

STEP = 16  # pixels: sides are one more than a multiple, where this project's padding and
# TensorFlow's agree, which published weights are used to (docs/transfer.md)
LEAST = 65
WITHIN = 0.6  # of the budget: what costs less as it is may grow
MOST = 6


def highest(spec: ArchSpec, sides: Iterable[int], budget: float) -> ArchSpec | None:
    """``spec`` at the most of ``sides`` at which it costs at most ``budget`` multiply-adds; None
    where it costs more at each."""
    at = (replace(spec, resolution=side) for side in sorted(sides, reverse=True))
    return next((one for one in at if cost(one).macs <= budget), None)


def by_rule(spec: ArchSpec, budget: float) -> ArchSpec | None:
    """``spec`` scaled by EfficientNet's rule, from the resolution that it has, to the most that
    costs at most ``budget`` multiply-adds; None where it costs more at its smallest."""

    def price(phi: float) -> float:
        try:
            return cost(compound(spec, phi)).macs
        except ValueError:  # too few pixels for its kernels, or more than any network has
            return 0 if phi < 0 else math.inf

    more = bisect_right(PHIS, budget, key=price)
    return compound(spec, PHIS[more - 1]) if more and price(PHIS[more - 1]) else None


def sides_about(spec: ArchSpec, budget: float) -> tuple[int, ...]:
    """Up to six sides, ascending, for networks like ``spec`` of ``budget`` multiply-adds.

    They reach from where it costs 0.6 of the budget as it is to where its rule would take it
    (``by_rule``), the highest at which all of it is within the budget among them. At the lower ones
    a network of the budget is as large as ``spec`` or larger, at the higher ones leaner: which of
    them is better on given pictures, a search can find out. Empty where the rule finds no network.
    """
    sides = range(LEAST, 4000, STEP)
    ruled, whole = by_rule(spec, budget), highest(spec, sides, budget)
    if ruled is None:
        return ()
    end = min(sides, key=lambda side: abs(side - ruled.resolution))
    least = WITHIN * budget
    dear = (side for side in sides if cost(replace(spec, resolution=side)).macs >= least)
    enough = next(dear, sides[-1])
    middle = LEAST if whole is None else whole.resolution
    low, high = min(enough, end), max(middle, end)
    step = STEP * max(1, math.ceil((high - low) / STEP / (MOST - 1)))
    return tuple(side for side in range(middle % step, high + 1, step) if side >= low)

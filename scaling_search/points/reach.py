"""A direction of scaling followed to where it has the target's cost.

What a network costs in seconds is not known before it is measured. So a point is solved for a
number of FLOPs, measured, and solved again for more or fewer, until it has the target's latency.
Where the cost is FLOPs themselves, the first round is the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scaling_search.points.costs import Cost
from scaling_search.points.point import Point

Solve = Callable[[float], Point | None]

# Where rounding gives a network again that was measured, more or less is asked for: first a little
# to either side, then farther to the target's.
_NUDGES = (0.0, 0.01, -0.01, 0.02, -0.02, 0.04, 0.08, 0.16)
# No point has more FLOPs than the cube of the target's ratio: where a dimension is nearly free, as
# resolution is on a GPU that waits for its kernels' launches, a network would grow without bounds.
_FARTHEST = 3.0
_LEAST = 1.1  # FLOPs change by 10 % at least: below that, rounding decides which dimension grows
_EXPONENTS = (0.25, 2.0)  # latency grows with FLOPs to a power that is taken to lie between these
_INSIDE = 0.1  # between two points, the next is not nearer to either than this part of the way


def reach(
    solve: Solve,
    cost: Cost,
    target: float,
    first: float | None,
    base: Point,
) -> Point | None:
    """The point that comes nearest to the target, in the cost's unit; None where there is none.

    ``solve`` gives the point of a direction that has about so many multiply-adds; ``first`` is what
    it is asked for first (None: the baseline's in the ratio of the target to ``base``, the
    baseline's point). Ends with the first point within half of the tolerance, when the rounds are
    spent, or where no other network comes.
    """
    ratio = target / cost.of(base)
    low, high = _limits(base, ratio)
    tried: list[Point] = []
    asked, wanted = math.nan, base.macs * ratio if first is None else first
    for _ in range(cost.rounds):
        before, asked = asked, min(max(wanted, low), high)
        beyond = asked == before and asked in (low, high)
        point = None if beyond else _untried(solve, asked, tried)
        if point is None:
            break
        tried.append(cost.settled(point, target))
        if abs(tried[-1].error) <= cost.tolerance / 2:
            break
        wanted = _next(tried)
    return min(tried, key=lambda point: abs(point.error), default=None)


def _untried(solve: Solve, wanted: float, tried: Sequence[Point]) -> Point | None:
    """The point at about so many multiply-adds, of a network that was not tried; None: none is."""
    if not tried:
        return solve(wanted)
    keys = {point.spec.key for point in tried}
    nearest = min(tried, key=lambda point: abs(point.error))
    for nudge in _NUDGES:
        point = solve(wanted * (1 - math.copysign(nudge, nearest.error)))
        if point is not None and point.spec.key not in keys:
            return point
    return None


def _limits(base: Point, ratio: float) -> tuple[float, float]:
    """The least and the greatest multiply-adds that a point may be asked to have."""
    sign = math.copysign(1, math.log(ratio))
    low, high = sorted((base.macs * _LEAST**sign, base.macs * ratio**_FARTHEST))
    return low, high


def _next(tried: Sequence[Point]) -> float:
    """Multiply-adds to ask for after these points, all off the target.

    Between the nearest points below and above the target, where there are both; else by the power
    law through the last two, all in logarithms.
    """
    places = [(math.log1p(point.error), math.log(point.macs)) for point in tried]
    below = max((place for place in places if place[0] < 0), default=None)
    above = min((place for place in places if place[0] >= 0), default=None)
    if below and above:
        part = -below[0] / (above[0] - below[0])
        part = min(max(part, _INSIDE), 1 - _INSIDE)
        return math.exp(below[1] + part * (above[1] - below[1]))
    error, size = places[-1]
    rise, run = (error - places[-2][0], size - places[-2][1]) if len(places) > 1 else (1.0, 1.0)
    # Larger and yet faster, by rounding or by chance, says nothing on the power.
    exponent = rise / run if rise * run > 0 else 1.0
    return math.exp(size - error / min(max(exponent, _EXPONENTS[0]), _EXPONENTS[1]))

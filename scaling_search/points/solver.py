"""A network brought to a target in *realised* FLOPs, as near as may be to multipliers asked for.

Nominal and realised multipliers differ: with depth rounded up, α = 1.05 makes EfficientNet-B0
1.44 times deeper, and networks of the same α·β²·γ² = 2 really cost from 1.9 to 3.3 times the
baseline. So every point is brought to the target in realised multiply-adds, and carries what it
realised. The fine adjustment is the resolution, pixel by pixel, then the width of single stages, a
divisor at a time; scaling one dimension alone leaves the others be and adjusts by whole layers
and by widths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from scaling_search.coefficients import Coefficients, Multipliers
from scaling_search.points.point import (
    SINGLES,
    TOLERANCE,
    Point,
    direction,
    distance,
    farness,
    multipliers,
)
from scaling_search.points.scalable import Scalable

FINE = 0.01  # what the adjustments aim at, and reach where rounding allows

_TRIED = 6  # candidates near a nominal point that are brought to the target
_REFINEMENTS = 12  # single layers or divisors by which a network may be adjusted
_FARTHEST = 0.08  # adjusting widths stays within 4 % of the width that scaling gave


def single(baseline: Scalable, dimension: str, target: float) -> Point:
    """All of the extra cost given to one dimension; ``error`` says how near it came.

    Raises ValueError for an unknown dimension.
    """
    if dimension not in SINGLES:
        raise ValueError(f"dimension {dimension!r} is unknown: choose one of {', '.join(SINGLES)}")
    shares = (float(dimension == name) for name in SINGLES)
    wanted = multipliers(tuple(shares), target / baseline.macs(baseline.spec))
    if dimension == "resolution":
        found = [_at_cost(baseline, baseline.spec, target)]
    else:
        found = _crossing(baseline, dimension, target)
    candidate = min(found, key=lambda item: abs(baseline.macs(item) - target))
    adjusted: tuple[str, ...] = ("resolution",) if dimension == "resolution" else ()
    if dimension == "depth":
        candidate, done = _refined(baseline, candidate, baseline.layer_steps, target, math.inf)
        adjusted += ("layers",) * done
    return _with_widths(baseline, _point(baseline, wanted, candidate, target, adjusted), target)


def solve(baseline: Scalable, coefficients: Coefficients, target: float) -> Point:
    """The network of ``target`` multiply-adds on the direction of the coefficients.

    φ is free: the point asked for is α^φ, β^φ, γ^φ with the target's nominal cost, and the network
    is the one whose realised multipliers come nearest to it.

    Raises ValueError where no rounding brings the cost within 3 % of the target.
    """
    point = nearest(baseline, direction(baseline, coefficients, target), target)
    if point is None or abs(point.error) > TOLERANCE:
        raise ValueError(
            f"no network in the direction {coefficients} costs within {TOLERANCE:.0%} of "
            f"{target:.4g} multiply-adds: choose another target, or depth rounding 'nearest'"
        )
    return point


def nearest(baseline: Scalable, wanted: Multipliers, target: float) -> Point | None:
    """Of the networks near ``wanted``, the one nearest in realised multipliers at the target.

    Its ``error`` may exceed the tolerance; None where every candidate would have to shrink in one
    dimension to make up for the rounding of another, or its maps too small for its kernels.
    """
    tried = []
    for item in _ranked(baseline, wanted, target):
        with suppress(ValueError):  # no such network at so small a side
            candidate = _at_cost(baseline, item, target)
            tried.append(_point(baseline, wanted, candidate, target, ("resolution",)))
    if not tried:
        return None
    if all(abs(point.error) > FINE for point in tried):
        tried = [_with_widths(baseline, point, target) for point in tried]
    return min(tried, key=_preference)


def _with_widths(baseline: Scalable, point: Point, target: float) -> Point:
    candidate, done = _refined(baseline, point.spec, baseline.width_steps, target)
    adjusted = point.adjusted + ("widths",) * done
    return _point(baseline, point.nominal, candidate, target, adjusted)


def _ranked(baseline: Scalable, wanted: Multipliers, target: float) -> list[Any]:
    """The candidates that promise to end nearest to ``wanted``, at the baseline's side."""
    grow = target >= baseline.macs(baseline.spec)
    promised = []
    for item in dict.fromkeys(baseline.near(wanted.depth, wanted.width, grow)):
        resolution = math.sqrt(target / baseline.macs(item))
        side = round(resolution * baseline.side)
        if baseline.side <= side <= baseline.largest if grow else 1 <= side <= baseline.side:
            realised = baseline.realised(item)._replace(resolution=resolution)
            promised.append((distance(realised, wanted), item))
    promised.sort(key=lambda pair: pair[0])
    return [item for _, item in promised[:_TRIED]]


def _at_cost(baseline: Scalable, candidate: Any, target: float) -> Any:
    """The candidate at the side whose cost is nearest to the target, not past the baseline's."""
    grow = target >= baseline.macs(baseline.spec)
    low, high = (baseline.side, baseline.largest) if grow else (1, baseline.side)
    guess = baseline.side * math.sqrt(target / _macs_at(baseline, candidate, baseline.side))
    below, above = max(low, math.floor(0.9 * guess)), min(high, math.ceil(1.1 * guess))
    if _macs_at(baseline, candidate, below) >= target:
        below = low
    while above < high and _macs_at(baseline, candidate, above) < target:
        above = min(high, 2 * above)
    while above - below > 1:  # cost grows with the side, in jumps where strides divide it anew
        middle = (below + above) // 2
        if _macs_at(baseline, candidate, middle) < target:
            below = middle
        else:
            above = middle
    best = min((below, above), key=lambda side: abs(_macs_at(baseline, candidate, side) - target))
    return baseline.at_side(candidate, best)


def _macs_at(baseline: Scalable, candidate: Any, side: int) -> float:
    try:
        return baseline.macs(baseline.at_side(candidate, side))
    except ValueError:  # fewer pixels than the strides need
        return math.inf


def _crossing(baseline: Scalable, dimension: str, target: float) -> list[Any]:
    """The last candidate below and the first above the target, one dimension growing alone."""

    def scaled(log: float) -> Any:
        factor = math.exp(log)
        depth, width = (factor, 1.0) if dimension == "depth" else (1.0, factor)
        try:
            return baseline.scaled(depth, width, baseline.side)
        except ValueError:  # larger than a network may be
            return None

    below, above = sorted((0.0, 2 * math.log(target / baseline.macs(baseline.spec))))
    for _ in range(16):
        middle = (below + above) / 2
        candidate = scaled(middle)
        if candidate is not None and baseline.macs(candidate) < target:
            below = middle
        else:
            above = middle
    return [item for item in (scaled(below), scaled(above)) if item is not None]


def _refined(
    baseline: Scalable,
    candidate: Any,
    steps: Callable[[Any], Iterable[Any]],
    target: float,
    farthest: float = _FARTHEST,
) -> tuple[Any, bool]:
    """Step by step nearer to the target until the error is fine; whether a step was taken.

    Of several steps that make it fine, the one that moves the realised multipliers least.
    """
    start, moved = baseline.realised(candidate), False
    for _ in range(_REFINEMENTS):
        error = abs(baseline.macs(candidate) / target - 1)
        if error <= FINE:
            break
        options = [
            ((max(FINE, off), moves), item)
            for item in steps(candidate)
            if (off := abs(baseline.macs(item) / target - 1)) < error
            and (moves := distance(baseline.realised(item), start)) <= farthest
        ]
        if not options:
            break
        candidate, moved = min(options, key=lambda option: option[0])[1], True
    return candidate, moved


def _point(
    baseline: Scalable, wanted: Multipliers, spec: Any, target: float, adjusted: tuple[str, ...]
) -> Point:
    macs = baseline.macs(spec)
    ratio = macs / baseline.macs(baseline.spec)
    realised = baseline.realised(spec)
    return Point(wanted, spec, realised, macs, ratio, macs / target - 1, adjusted)


def _preference(point: Point) -> tuple[int, float]:
    """Fine before tolerable before the rest; then near to what was asked for."""
    error = abs(point.error)
    return (error > FINE) + (error > TOLERANCE), farness(point)

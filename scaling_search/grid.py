"""The points to try: networks of one realised cost, from the baseline in every direction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scaling_search.coefficients import PAPER, Multipliers
from scaling_search.point import (
    SINGLES,
    TOLERANCE,
    Point,
    baseline_point,
    check_ratio,
    direction,
    farness,
    multipliers,
    nearest,
    single,
)
from scaling_search.scalable import Scalable
from scaling_search.simplex import Array, shares


@dataclass(frozen=True)
class Grid:
    """The points of one search: ``points[0]`` is the baseline, all others cost ``target``.

    ``roles`` gives the place of the baseline, the single-dimension points and the paper's
    direction, those that can be reached. ``dropped`` counts nominal points that no rounding brings
    within the tolerance, ``merged`` those that rounding made equal to another.
    """

    target: float
    points: tuple[Point, ...]
    roles: dict[str, int]
    dropped: int
    merged: int

    @property
    def baseline(self) -> Point:
        """The unscaled network."""
        return self.points[0]

    @property
    def ratio(self) -> float:
        """Target over the baseline's cost."""
        return self.target / self.baseline.macs

    @cached_property
    def shares(self) -> Array:
        """Realised shares of every point, NaN for the baseline; shape (points, 3)."""
        return np.array([[np.nan] * 3, *(shares(point.realised) for point in self.points[1:])])

    @property
    def reserved(self) -> tuple[int, ...]:
        """Places of the points that are always trained."""
        return tuple(sorted(set(self.roles.values())))


def grid(baseline: Scalable, target: float, *, step: float = 0.1) -> Grid:
    """Points over all ways to share the extra cost between depth, width and resolution.

    ``target`` is in multiply-adds. The nominal points split its logarithm into shares that are
    multiples of ``step``: at 2x, 0.1 takes α in steps of 7 %, β and γ of 3.5 % (the paper's grid,
    arXiv:1905.11946 section 3.3, has steps of 0.05). No dimension shrinks where the target is above
    the baseline, none grows below it. The single-dimension points and the paper's direction come
    first.

    Raises ValueError for a target within 10 % of the baseline's cost or a step not in (0, 0.5].
    """
    base = baseline_point(baseline)
    ratio = target / base.macs
    check_ratio(ratio)
    if not 0 < step <= 0.5:
        raise ValueError(f"grid step {step} is not a share in (0, 0.5]: 0.1 is usual")
    reserved = [("baseline", base), *_reserved(baseline, target)]
    points: dict[str, Point] = {}
    for _, point in reserved:
        points.setdefault(point.spec.key, point)
    places = {key: place for place, key in enumerate(points)}
    dropped, merged = len(SINGLES) + 2 - len(reserved), 0
    for wanted in _nominal(ratio, step):
        found = nearest(baseline, wanted, target)
        if found is None or abs(found.error) > TOLERANCE:
            dropped += 1
            continue
        held = points.setdefault(found.spec.key, found)
        merged += held is not found
        if found.spec.key not in places and farness(found) < farness(held):
            points[found.spec.key] = found
    roles = {role: places[point.spec.key] for role, point in reserved}
    return Grid(target, tuple(points.values()), roles, dropped, merged)


def _reserved(baseline: Scalable, target: float) -> Iterator[tuple[str, Point]]:
    for dimension in SINGLES:
        point = single(baseline, dimension, target)
        if abs(point.error) <= TOLERANCE:
            yield dimension, point
    paper = nearest(baseline, direction(baseline, PAPER, target), target)
    if paper is not None and abs(paper.error) <= TOLERANCE:
        yield "paper", paper


def _nominal(ratio: float, step: float) -> Iterator[Multipliers]:
    """Multipliers for every split into shares, but for the corners, which are the singles."""
    count = round(1 / step)
    for depth in range(count):
        for width in range(count - depth + 1):
            if depth == 0 and width in (0, count):
                continue
            split = depth / count, width / count, (count - depth - width) / count
            yield multipliers(split, ratio)

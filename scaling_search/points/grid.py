"""The points to try: networks of one realised cost, from the baseline in every direction."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial

import numpy as np

from scaling_search.coefficients import PAPER, Multipliers
from scaling_search.points.costs import Cost, Flops
from scaling_search.points.point import (
    SINGLES,
    Point,
    baseline_point,
    check_ratio,
    distance,
    farness,
    multipliers,
)
from scaling_search.points.reach import Solve, reach
from scaling_search.points.scalable import Scalable
from scaling_search.points.solver import nearest, single
from scaling_search.surface.simplex import Array, basis, shares

Split = tuple[float, float, float]

_QUADRATIC = 6  # polynomials of ``basis`` up to degree 2


@dataclass(frozen=True)
class Grid:
    """The points of one search: ``points[0]`` is the baseline, all others cost ``target``.

    ``target`` is in the unit of ``cost``. ``roles`` gives the place of the baseline, the
    single-dimension points and the paper's direction, those that can be reached. ``left_out`` has a
    line for each nominal point that nothing brings within the tolerance, ``merged`` counts those
    that rounding made equal to another.
    """

    target: float
    points: tuple[Point, ...]
    roles: dict[str, int]
    left_out: tuple[str, ...]
    merged: int
    cost: Cost

    @property
    def baseline(self) -> Point:
        """The unscaled network."""
        return self.points[0]

    @property
    def ratio(self) -> float:
        """Target over the baseline's cost."""
        return self.target / self.cost.of(self.baseline)

    @cached_property
    def shares(self) -> Array:
        """Realised shares of every point, NaN for the baseline; shape (points, 3)."""
        return np.array([[np.nan] * 3, *(shares(point.realised) for point in self.points[1:])])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {point.spec.key: place for place, point in enumerate(self.points)}

    @cached_property
    def _read(self) -> Callable[[str], int]:
        from_json = type(self.points[0].spec).from_json
        return lru_cache(None)(lambda text: self._places.get(from_json(text).key, -1))

    def place_of(self, text: str) -> int:
        """The place of the network that ``to_json`` wrote.

        Raises ValueError where it is none of these points.
        """
        place = self._read(text)
        if place < 0:
            raise ValueError(
                f"a network that was trained, {text[:80]}…, is none of the points that this "
                "version solves for: go on with the version that the run was made by "
                "(run.json has it), or begin a new run"
            )
        return place

    def asked_for(self, nominal: Multipliers) -> int:
        """The place of the point of these nominal multipliers, or nearest to them."""
        return min(range(len(self.points)), key=lambda i: distance(self.points[i].nominal, nominal))

    @property
    def reserved(self) -> tuple[int, ...]:
        """Places of the points that are always trained."""
        return tuple(sorted(set(self.roles.values())))

    @property
    def dropped(self) -> int:
        """How many nominal points were left out."""
        return len(self.left_out)

    def flops_ratio(self, at: Array) -> Array:
        """Over the baseline's FLOPs, those of networks at the target; shares (n, 3) → (n,).

        Where all points share their FLOPs, these are one number. Networks of one latency differ in
        FLOPs: a quadratic through the points' logarithms, each corrected by its error, goes no
        farther than they do.
        """
        logs = np.array([math.log(p.ratio) - math.log1p(p.error) for p in self.points[1:]])
        off = logs - logs.mean()
        quadratic = basis(self.shares[1:])[:, :_QUADRATIC]
        fitted = basis(at)[:, :_QUADRATIC] @ np.linalg.lstsq(quadratic, off, rcond=None)[0]
        ratios: Array = np.exp(logs.mean() + np.clip(fitted, off.min(), off.max()))
        return ratios


def grid(baseline: Scalable, target: float, *, step: float = 0.1, cost: Cost | None = None) -> Grid:
    """Points over all ways to share the extra cost between depth, width and resolution.

    ``target`` is in the unit of ``cost``, multiply-adds by default. The nominal points split the
    logarithm of a ratio of FLOPs into shares that are multiples of ``step``: at 2x, 0.1 takes α in
    steps of 7 %, β and γ of 3.5 % (the paper's grid, arXiv:1905.11946 section 3.3, has steps of
    0.05). No dimension shrinks where the target is above the baseline, none grows below it. The
    single-dimension points and the paper's direction come first.

    Raises ValueError for a target within 10 % of the baseline's cost or that no point reaches, and
    for a step not in (0, 0.5].
    """
    if not 0 < step <= 0.5:
        raise ValueError(f"grid step {step} is not a share in (0, 0.5]: 0.1 is usual")
    cost = cost or Flops()
    base = replace(cost.settled(baseline_point(baseline), target), error=0.0)
    check_ratio(target / cost.of(base))
    found = _Found({base.spec.key: base}, {"baseline": base.spec.key})
    for role, split, solve in _directions(baseline, step):
        point = reach(solve, cost, target, found.first(split), base)
        if point is None or abs(point.error) > cost.tolerance:
            found.left_out.append(_missed(role, split, point, cost))
        else:
            found.add(role, split, point)
    if len(found.points) == 1:
        raise ValueError(
            f"no scaling of the baseline comes within {100 * cost.tolerance:.2g} % of "
            f"{cost.text(target)}: choose another target, or depth rounding 'nearest'"
        )
    places = {key: place for place, key in enumerate(found.points)}
    roles = {role: places[key] for role, key in found.roles.items()}
    points = tuple(found.points.values())
    return Grid(target, points, roles, tuple(found.left_out), found.merged, cost)


def splits(step: float) -> Iterator[Split]:
    """Every split into shares that are multiples of the step, but for the corners."""
    count = round(1 / step)
    for depth in range(count):
        for width in range(count - depth + 1):
            if depth or width not in (0, count):
                yield depth / count, width / count, (count - depth - width) / count


@dataclass
class _Found:
    """The points so far, by key; the keys of those that have a role."""

    points: dict[str, Point]
    roles: dict[str, str]
    left_out: list[str] = field(default_factory=list)
    merged: int = 0
    reached: list[tuple[Split, Point]] = field(default_factory=list)

    def add(self, role: str | None, split: Split, point: Point) -> None:
        key = point.spec.key
        held = self.points.setdefault(key, point)
        self.reached.append((split, point))
        if role is not None:
            self.roles[role] = key
            return
        self.merged += held is not point
        if key not in self.roles.values() and farness(point) < farness(held):
            self.points[key] = point

    def first(self, split: Split) -> float | None:
        """The multiply-adds at which the nearest direction so far has the target's cost."""
        if not self.reached:
            return None
        _, near = min(self.reached, key=lambda item: math.dist(item[0], split))
        return near.macs / (1 + near.error)


def _directions(baseline: Scalable, step: float) -> Iterator[tuple[str | None, Split, Solve]]:
    """(role, shares, what solves for multiply-adds) of every nominal point."""
    for dimension, corner in zip(SINGLES, np.eye(3), strict=True):
        yield dimension, _split(corner), partial(single, baseline, dimension)
    paper = _split(shares(PAPER.at(1)))
    yield "paper", paper, partial(_solved, baseline, paper)
    for split in splits(step):
        yield None, split, partial(_solved, baseline, split)


def _solved(baseline: Scalable, split: Split, macs: float) -> Point | None:
    return nearest(baseline, multipliers(split, macs / baseline.macs(baseline.spec)), macs)


def _split(at: Array) -> Split:
    depth, width, resolution = (float(share) for share in at)
    return depth, width, resolution


def _missed(role: str | None, split: Split, nearest: Point | None, cost: Cost) -> str:
    """A line on a nominal point that is left out."""
    parts = ", ".join(f"{name} {share:.0%}" for name, share in zip(SINGLES, split, strict=True))
    name = f"{role} alone" if role in SINGLES else f"{role} ({parts})" if role else parts
    if nearest is None:
        return f"{name}: no network without shrinking a dimension"
    return f"{name}: {cost.text(cost.of(nearest))}, {nearest.ratio:.2f} times the baseline's FLOPs"

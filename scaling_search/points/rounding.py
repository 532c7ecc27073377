"""What each rule of rounding layers makes of a grid's nominal points, before costs are adjusted."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from models.scale import DEPTH_ROUNDINGS
from models.spec import ArchSpec
from scaling_search.coefficients import Multipliers
from scaling_search.points.point import TOLERANCE
from scaling_search.points.scalable import SpecBaseline


@dataclass(frozen=True)
class Rounded:
    """Nominal points of one ratio, as a rule rounds them.

    rule     "ceil" or "nearest"
    points   how many there are; those that would be larger than a network may be are not counted
    levels   how many different depths they come to
    deeper   realised over nominal depth: least, median and greatest
    dearer   realised FLOPs over those of the ratio asked for: the same
    within   how many cost what was asked for within 3 %
    """

    rule: str
    points: int
    levels: int
    deeper: tuple[float, float, float]
    dearer: tuple[float, float, float]
    within: int


def roundings(spec: ArchSpec, wanted: Iterable[Multipliers], ratio: float) -> list[Rounded]:
    """What either rule makes of ``wanted``, each of which nominally costs ``ratio`` baselines.

    Raises ValueError where no wanted point is a network.
    """
    every = list(wanted)
    return [_rounded(SpecBaseline(spec, rule), every, ratio) for rule in DEPTH_ROUNDINGS]


def _rounded(baseline: SpecBaseline, wanted: list[Multipliers], ratio: float) -> Rounded:
    target = ratio * baseline.macs(baseline.spec)
    found = []
    for depth, width, resolution in wanted:
        with suppress(ValueError):
            side = max(1, round(resolution * baseline.side))
            candidate = baseline.scaled(depth, width, side)
            realised = baseline.realised(candidate).depth
            found.append((realised, realised / depth, baseline.macs(candidate) / target))
    if not found:
        raise ValueError(f"none of {len(wanted)} points is a network: choose a ratio nearer to 1")
    depths, deeper, dearer = zip(*found, strict=True)
    within = sum(abs(cost - 1) <= TOLERANCE for cost in dearer)
    return Rounded(
        baseline.depth_rounding,
        len(found),
        len(set(depths)),
        _spread(deeper),
        _spread(dearer),
        within,
    )


def _spread(values: tuple[float, ...]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)

"""The paper's studies as lists of networks to train; the training is the caller's.

single   one dimension at a time over a ladder of factors (EfficientNet, arXiv:1905.11946, Figure 3)
width    width ladders under different depths and resolutions (its Figure 4)
compare  single dimensions against compound scaling at one realised cost (its Figure 8 and Table 3),
         with the fast compound rule of Dollár, Singh and Girshick (arXiv:2103.06877) and any split
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaling_search.coefficients import FAST, PAPER, Coefficients, Multipliers
from scaling_search.points.point import (
    SINGLES,
    TOLERANCE,
    Point,
    baseline_point,
    check_ratio,
    multipliers,
)
from scaling_search.points.scalable import Scalable
from scaling_search.points.solver import nearest, single

# Figure 3: the factors on its three curves.
LADDERS: dict[str, tuple[float, ...]] = {
    "width": (1.0, 1.4, 1.8, 2.6, 3.8, 5.0),
    "depth": (1.0, 2.0, 3.0, 4.0, 6.0, 8.0),
    "resolution": (1.0, 1.3, 1.5, 1.7, 1.9, 2.2, 2.5),
}
# Figure 4: the (depth, resolution) under which its four curves widen.
WIDTH_SETTINGS = ((1.0, 1.0), (1.0, 1.3), (2.0, 1.0), (2.0, 1.3))

# (method, FLOPs in billions, ImageNet top-1 in %) as printed in arXiv:1905.11946 v5: Table 3, and
# for EfficientNet-B0 Table 7. FLOPs are the paper's: its single-dimension rows of B0 cost 12 to
# 19 % less when counted as here, so they are not quite an equal-cost comparison.
PUBLISHED: dict[str, tuple[tuple[str, float, float], ...]] = {
    "mobilenet-v1": (
        ("baseline", 0.6, 70.6),
        ("width", 2.2, 74.2),
        ("resolution", 2.2, 72.7),
        ("compound", 2.3, 75.6),
    ),
    "mobilenet-v2": (
        ("baseline", 0.3, 72.0),
        ("depth", 1.2, 76.8),
        ("width", 1.1, 76.4),
        ("resolution", 1.2, 74.8),
        ("compound", 1.3, 77.4),
    ),
    "resnet-50": (
        ("baseline", 4.1, 76.0),
        ("depth", 16.2, 78.1),
        ("width", 14.7, 77.7),
        ("resolution", 16.4, 77.5),
        ("compound", 16.7, 78.8),
    ),
    "efficientnet-b0": (
        ("baseline", 0.4, 77.3),
        ("depth", 1.8, 79.0),
        ("width", 1.8, 78.9),
        ("resolution", 1.9, 79.1),
        ("compound", 1.8, 81.1),
    ),
}


@dataclass(frozen=True)
class Entry:
    """One network of a study.

    series  the curve or method it belongs to
    factor  its place on the curve: the factor of the varied dimension, or the cost ratio
    point   the network; in ``single`` and ``width`` scaled by exactly these factors, whatever that
            costs, and so with ``error`` 0
    cost    as ``Scalable.cost`` gives it, activations beside "macs" where they are known
    """

    series: str
    factor: float
    point: Point
    cost: dict[str, int]


def single_study(
    baseline: Scalable, ladders: Mapping[str, Sequence[float]] = LADDERS
) -> list[Entry]:
    """Figure 3: every dimension alone over its ladder.

    Raises ValueError for an unknown dimension or a factor that is not positive.
    """
    if unknown := [name for name in ladders if name not in SINGLES]:
        raise ValueError(f"dimension {unknown[0]!r} is unknown: choose from {', '.join(SINGLES)}")
    return [
        _scaled(baseline, dimension, factor, Multipliers(**{**_ONES, dimension: factor}))
        for dimension, factors in ladders.items()
        for factor in factors
    ]


def width_study(
    baseline: Scalable,
    widths: Sequence[float] = LADDERS["width"],
    settings: Sequence[tuple[float, float]] = WIDTH_SETTINGS,
) -> list[Entry]:
    """Figure 4: the width ladder under each (depth, resolution)."""
    return [
        _scaled(baseline, f"d={depth:g} r={side:g}", width, Multipliers(depth, width, side))
        for depth, side in settings
        for width in widths
    ]


def compare_study(
    baseline: Scalable,
    targets: Iterable[float],
    *,
    compound: Coefficients = PAPER,
    splits: Mapping[str, tuple[float, float, float]] | None = None,
) -> tuple[list[Entry], list[str]]:
    """Figure 8: the methods at each target (multiply-adds), the baseline first.

    Methods are the three single dimensions, "compound" in the direction of the coefficients,
    "fast" (Dollár et al.) and ``splits`` by name, shares of depth, width and resolution. Also
    returns what was left out, a line each: no rounding brings it within 3 % of the target.

    Raises ValueError for a target within 10 % of the baseline's cost, and for one that no dimension
    reaches alone: there is nothing to compare with.
    """
    base = baseline_point(baseline)
    entries = [Entry("baseline", 1.0, base, baseline.cost(base.spec))]
    left_out = []
    for target in targets:
        ratio = target / base.macs
        check_ratio(ratio)
        methods = _methods(baseline, target, compound, splits or {})
        if not any(name in SINGLES and _reached(point) for name, point in methods):
            raise ValueError(
                f"{ratio:.4g} times the cost cannot be reached by depth, width or resolution "
                "alone: choose a target nearer to 1x"
            )
        for method, point in methods:
            if point is None or not _reached(point):
                left_out.append(f"{method} at {ratio:.4g}x: no rounding comes within 3 %")
            else:
                entries.append(Entry(method, ratio, point, baseline.cost(point.spec)))
    return entries, left_out


def parse_shares(text: str) -> tuple[float, float, float]:
    """``"d=0.1,w=0.8,r=0.1"`` → shares of depth, width, resolution; one left out is 0.

    Raises ValueError unless they are from 0 to 1 and add up to 1.
    """
    remedy = f"{text!r:.80} is no split: write shares that add up to 1, such as d=0.1,w=0.8,r=0.1"
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        if name not in ("d", "w", "r") or name in found:
            raise ValueError(remedy)
        try:
            found[name] = float(number)
        except ValueError:
            raise ValueError(remedy) from None
    depth, width, resolution = (found.get(name, 0.0) for name in ("d", "w", "r"))
    inside = all(0 <= share <= 1 for share in (depth, width, resolution))
    if not inside or abs(depth + width + resolution - 1) > 1e-6:
        raise ValueError(remedy)
    return depth, width, resolution


def _reached(point: Point | None) -> bool:
    return point is not None and abs(point.error) <= TOLERANCE


_ONES = {"depth": 1.0, "width": 1.0, "resolution": 1.0}


def _scaled(baseline: Scalable, series: str, factor: float, wanted: Multipliers) -> Entry:
    side = max(1, round(baseline.side * wanted.resolution))
    spec: Any = baseline.scaled(wanted.depth, wanted.width, side)
    macs = baseline.macs(spec)
    ratio = macs / baseline.macs(baseline.spec)
    point = Point(wanted, spec, baseline.realised(spec), macs, ratio, 0.0)
    return Entry(series, factor, point, baseline.cost(spec))


def _methods(
    baseline: Scalable,
    target: float,
    compound: Coefficients,
    splits: Mapping[str, tuple[float, float, float]],
) -> list[tuple[str, Point | None]]:
    ratio = target / baseline.macs(baseline.spec)
    singles = [(name, single(baseline, name, target)) for name in SINGLES]
    direction = nearest(baseline, compound.at(compound.phi(ratio)), target)
    shared = {"fast": FAST, **splits}
    return [
        *singles,
        ("compound", direction),
        *(
            (name, nearest(baseline, multipliers(split, ratio), target))
            for name, split in shared.items()
        ),
    ]

"""What a search was asked to hold equal, and the points that a run has at it."""

from __future__ import annotations

from typing import Any

from common.units import parse_duration, parse_target
from scaling_search.points.costs import Flops
from scaling_search.points.grid import Grid, grid
from scaling_search.points.latency import LatencyCost
from scaling_search.points.point import check_ratio
from scaling_search.points.scalable import Scalable
from trials.latencies import Measure, Paired
from trials.store.view import RunView

_LARGEST_MULTIPLE = 1000.0


def asked(target: float | str, baseline: Scalable, *, measured: bool) -> dict[str, Any]:
    """The settings "cost" and "target" of a run: multiply-adds, or a latency's text.

    Raises ValueError for a target that cannot be read, or is known to be within 10 % of the
    baseline's cost.
    """
    if not measured:
        macs = target_macs(target, baseline)
        check_ratio(macs / baseline.macs(baseline.spec))
        return {"cost": Flops.unit, "target": macs}
    text = target.strip() if isinstance(target, str) else f"{target:.12g}x"
    if (ratio := latency_ratio(text)) is not None:
        check_ratio(ratio)
    return {"cost": LatencyCost.unit, "target": text}


def target_macs(target: float | str, baseline: Scalable) -> float:
    """The target in multiply-adds, from a multiple, a size or their text.

    Raises ValueError for what is neither.
    """
    base = baseline.macs(baseline.spec)
    if isinstance(target, str):
        return parse_target(target, base)
    if isinstance(target, bool) or not target > 0:
        raise ValueError(f"target {target!r} is not a positive number: try 2.0 or '800M'")
    return float(target) * base if target <= _LARGEST_MULTIPLE else float(target)


def latency_ratio(text: str) -> float | None:
    """The multiple that the text of a latency is; None for one in seconds.

    Raises ValueError for what is neither.
    """
    one, two = (parse_target(text, base, parse_duration) for base in (1.0, 2.0))
    return None if one == two else one


def points_of(
    run: RunView,
    baseline: Scalable,
    measure: Measure | None = None,
    measured_on: dict[str, Any] | None = None,
) -> Grid:
    """The points of a run, the same every time; latencies that it lacks are measured.

    Raises ValueError where no network reaches the target, and where latencies are lacking and there
    is no ``measure``.
    """
    settings = run.settings
    if settings.get("cost", Flops.unit) == Flops.unit:
        return grid(baseline, settings["target"], step=settings["step"])
    cost = LatencyCost(Paired(run.study, baseline.spec, measure, measured_on), baseline.spec)
    return grid(baseline, cost.target(settings["target"]), step=settings["step"], cost=cost)

"""What a search was asked to hold equal, and the points that a run has at it."""

from __future__ import annotations

from typing import Any

from common.units import parse_duration, parse_target
from scaling_search.points.costs import Flops
from scaling_search.points.grid import Grid, grid
from scaling_search.points.kept import kept, reader
from scaling_search.points.latency import LatencyCost
from scaling_search.points.point import check_ratio
from scaling_search.points.scalable import Scalable, SpecBaseline
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
    """The points of a run: those that it keeps, or else solved for, the same every time; latencies
    that it lacks are measured.

    Raises ValueError where no network reaches the target, and where latencies are lacking and there
    is no ``measure``.
    """
    cost = _cost(run, baseline.spec, measure, measured_on)
    if (found := kept(run.study, cost, baseline.from_json)) is not None:
        return found
    target = run.settings["target"]
    target = cost.target(target) if isinstance(cost, LatencyCost) else target
    return grid(baseline, target, step=run.settings["step"], cost=cost)


def points_told(run: RunView) -> Grid:
    """The points of a run of which there is no more than its study.

    Raises ValueError where it keeps none: those of specs are solved for again.
    """
    settings = run.settings
    networks = settings.get("networks")
    read = reader(networks)
    baseline = read(settings["baseline"])
    if networks is None:  # also of runs from before points were kept
        return points_of(run, SpecBaseline(baseline, settings["depth_rounding"]))
    found = kept(run.study, _cost(run, baseline), read)
    if found is None:
        raise ValueError("the run has no points yet: its search is just starting")
    return found


def _cost(
    run: RunView,
    baseline: Any,
    measure: Measure | None = None,
    measured_on: dict[str, Any] | None = None,
) -> Flops | LatencyCost:
    if run.settings.get("cost", Flops.unit) == Flops.unit:
        return Flops()
    return LatencyCost(Paired(run.study, baseline, measure, measured_on), baseline)

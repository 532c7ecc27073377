"""What a person wants to read at the end of a search."""

from __future__ import annotations

from pathlib import Path

from common.units import format_duration, format_size
from scaling_search.coefficients import Multipliers
from scaling_search.points.grid import Grid
from scaling_search.result import Comparison, ScalingResult
from scaling_search.surface.allocation import ENOUGH_REPEATS
from trials.latencies import Reading


def summary(found: ScalingResult, run_dir: Path) -> str:
    """The answer, its intervals and comparisons, what the points cost, where the files are."""
    grid = found.grid
    lines = [
        f"{len(found.trials)} trainings of {len(grid.points)} points, {shared(grid)}; "
        f"{found.dropped} nominal points could not reach this and were left out"
    ]
    if said := grid.cost.described():
        lines += [said, *_measured(found)]
    for symbol, name in zip("αβγ", ("alpha", "beta", "gamma"), strict=True):
        low, high = found.confidence[name]
        value = getattr(found.coefficients, name)
        lines.append(f"  {symbol} = {value:.3f}   90 % interval {low:.3f} to {high:.3f}")
    if said := doubt(found):
        lines.append(f"  {said}")
    lines.append(
        f"  trained for it: nominal d × w × r {product(found.point.nominal)}, "
        f"realised {product(found.point.realised)}"
    )
    lines += [f"  against {item.against}: {_compared(item)}" for item in found.comparisons]
    lines += [
        f"coefficients: {run_dir / 'coefficients.json'}",
        f"family: {run_dir / 'family'}",
        f"report: {run_dir / 'report.html'}",
    ]
    return "\n".join(lines)


def doubt(found: ScalingResult) -> str:
    """Why the intervals may be wrong; empty where enough trainings were repeated."""
    if found.repeats >= ENOUGH_REPEATS:
        return ""
    return (
        f"{found.repeats or 'No'} trainings repeat a network with another seed. How noisy "
        "trainings are is then guessed, from the number of validation pictures where it is "
        "known, and all intervals are as rough as that guess: go on with --resume and more "
        "--trials."
    )


def product(multipliers: Multipliers) -> str:
    """``"1.20 × 1.10 × 1.15"``."""
    return " × ".join(f"{factor:.2f}" for factor in multipliers)


def _compared(item: Comparison) -> str:
    if item.verdict == "same":
        return "the answer itself"
    return (
        f"{item.verdict} ({100 * item.difference:+.2f} points, {100 * item.low:+.2f} to "
        f"{100 * item.high:+.2f})"
    )


def shared(grid: Grid) -> str:
    """What the points have in common."""
    cost = grid.cost
    return f"each but the baseline within {100 * cost.tolerance:.2g} % of {cost.text(grid.target)}"


def quartiles(reading: Reading) -> str:
    """``"12.0 ms [11.9 to 12.3]"``."""
    low, high = (format_duration(seconds).rpartition(" ")[0] for seconds in reading[1:3])
    return f"{format_duration(reading.median)} [{low} to {high}]"


def _measured(found: ScalingResult) -> list[str]:
    """A line for each trained point: what it takes, its quartiles, its FLOPs."""
    grid = found.grid
    names = {place: f"{role}, " for role, place in grid.roles.items()}
    trained = {grid.place_of(r.spec.to_json()) for r in found.trials if r.state == "complete"}
    lines = []
    for place in sorted(trained):
        point = grid.points[place]
        if point.latency is not None:
            lines.append(
                f"  {quartiles(point.latency)}, {format_size(point.macs)} FLOPs: "
                f"{names.get(place, '')}realised d × w × r "
                f"{product(point.realised)}"
            )
    return lines

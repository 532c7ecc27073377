"""What a person wants to read at the end of a search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from common.energy import in_words
from common.units import format_duration, format_size
from scaling_search.coefficients import PAPER, Multipliers
from scaling_search.points.grid import Grid
from scaling_search.result import ScalingResult
from scaling_search.surface.comparison import Comparison, Measured
from scaling_search.surface.evidence import ACCURACY, ENOUGH_REPEATS
from scaling_search.surface.surface import LEVEL, Region
from trials.energy import kept
from trials.latencies import Reading

SYMBOLS = {"alpha": "α (depth)", "beta": "β (width)", "gamma": "γ (resolution)"}
_VERBS = {"same": "is", "better": "beats", "tie": "ties with", "worse": "loses to"}


def summary(found: ScalingResult, run_dir: Path) -> str:
    """The answer, its intervals and comparisons, what the points cost, where the files are."""
    grid = found.grid
    lines = [answer(found)]
    for name, symbol in SYMBOLS.items():
        low, high = found.confidence[name]
        value = getattr(found.coefficients, name)
        lines.append(f"  {symbol} {value:.2f}, 90 % interval {low:.2f} to {high:.2f}")
    lines += [f"  {line}" for line in _compared(found)]
    lines += [f"  {said}" for said in (learned_from(found), doubt(found)) if said]
    lines.append(
        f"  {len(found.trials)} trainings of {len(grid.points)} points, {shared(grid)}"
        + (f"; {found.dropped} nominal points could not reach this" if found.dropped else "")
    )
    if said := grid.cost.described():
        lines += [f"  {said}", *_latencies(found)]
    if taken := kept(run_dir):
        lines.append(f"  energy: {in_words(taken)}")
    lines += [
        f"coefficients: {run_dir / 'coefficients.json'}",
        f"family: {run_dir / 'family'}",
        f"report: {run_dir / 'report.html'}",
    ]
    return "\n".join(lines)


def answer(found: ScalingResult) -> str:
    """In a few sentences: α, β and γ, how sure they are, what they beat and what not."""
    values = ", ".join(
        f"{symbol} {getattr(found.coefficients, name):.2f}" for name, symbol in SYMBOLS.items()
    )
    sentences = [
        f"At {found.grid.ratio:.2f} times the baseline's {found.grid.cost.name}: {values}.",
        _region(found.region),
        *_verdicts(found.comparisons, product(found.point.realised)),
        *_outdone(found),
    ]
    return " ".join(sentences)


def _outdone(found: ScalingResult) -> Iterator[str]:
    """That no larger network was measured above the baseline, where that is so."""
    base: list[float] = []
    others: list[float] = []
    for record in found.trials:
        if record.evaluation is not None:
            own = record.spec.key == found.grid.baseline.spec.key
            (base if own else others).append(record.evaluation.accuracy)
    if base and others and found.grid.ratio > 1 and fmean(base) >= max(others):
        yield (
            f"None of the {len(others)} trainings at that cost was measured above the baseline "
            f"itself ({100 * fmean(base):.1f} %): in trainings as short as these the further cost "
            "bought nothing."
        )


def _verdicts(comparisons: Sequence[Comparison], network: str) -> Iterator[str]:
    """A sentence of what is known of the trained ``network`` that stands for the answer, and one of
    what is not known yet."""
    of: dict[str, list[str]] = {}
    for item in comparisons:
        of.setdefault(item.verdict, []).append(called(item.against))
    if parts := [f"{verb} {listed(of[kind])}" for kind, verb in _VERBS.items() if kind in of]:
        yield f"The trained network with the best fit, {network}, {', it '.join(parts)}."
    if "open" in of:
        yield (
            f"Whether it is better than {listed(of['open'])} is not told yet: these networks were "
            "not trained again with other seeds, and there are too few others."
        )


def called(against: str) -> str:
    """Another way to spend the same cost, as a sentence names it."""
    return "the paper's direction" if against == "paper" else f"{against} alone"


def in_points(difference: float, low: float | None, high: float | None) -> str:
    """``"+1.20 (-0.30 to +2.70)"``, in points; without the interval where it is None."""
    if low is None or high is None:
        return f"{100 * difference:+.2f}"
    return f"{100 * difference:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


def measured(found: Measured | None) -> str:
    """``"+0.80 (-0.20 to +1.80), 3 pairs"``; says so where nothing was trained with one seed."""
    if found is None:
        return "no pair"
    pairs = f"{found.n} pair{'s' if found.n > 1 else ''}"
    return f"{in_points(found.difference, found.low, found.high)}, {pairs}"


def compared(found: ScalingResult) -> str:
    """Which networks the comparisons are of, in numbers."""
    said = (
        "What is compared is the trained network that stands for the answer, depth × width × "
        f"resolution {product(found.point.realised)}, with others of its cost."
    )
    for item in found.comparisons:
        if item.against == "paper":
            said += (
                f" The paper's {product(PAPER.at(1))} would multiply "
                f"FLOPs by {PAPER.product:.2f} if nothing were rounded: in the same proportions, "
                f"but at this target's cost and in whole layers and channels, the network is "
                f"{product(item.realised)}."
            )
    return said


def listed(names: Sequence[str]) -> str:
    """``"a, b and c"``."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _region(region: Region) -> str:
    """How much the region leaves open. One that covers ``LEVEL`` of all ways to scale says no more
    than one drawn without any training would."""
    if region.inside.all():
        covers, rules_out = "all ways to scale", "nothing"
    else:
        part = "less than 1 %" if region.size < 0.01 else f"{min(100 * region.size, 99):.0f} %"
        covers, rules_out = f"{part} of all ways to scale", "next to nothing"
    if region.size < LEVEL:
        return f"The 90 % region covers {covers}."
    return (
        f"The 90 % region covers {covers}: it rules out {rules_out}, so these three numbers are "
        "hardly more than a guess."
    )


def learned_from(found: ScalingResult) -> str:
    """What the surface is fitted to; empty where that is accuracies alone."""
    if found.fitted_to == ACCURACY:
        return ""
    return (
        f"The surface is fitted to the {found.fitted_to} of each training, read as the accuracy "
        "to expect, because they tell more of each picture than whether it is right."
    )


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


def shared(grid: Grid) -> str:
    """What the points have in common."""
    cost = grid.cost
    return f"each but the baseline within {100 * cost.tolerance:.2g} % of {cost.text(grid.target)}"


def quartiles(reading: Reading) -> str:
    """``"12.0 ms [11.9 to 12.3]"``."""
    low, high = (format_duration(seconds).rpartition(" ")[0] for seconds in reading[1:3])
    return f"{format_duration(reading.median)} [{low} to {high}]"


def _compared(found: ScalingResult) -> list[str]:
    """What is compared, and for each comparison a line with both differences."""
    if not found.comparisons:
        return []
    return [
        f"{compared(found)} Differences in points of accuracy, 90 % intervals in brackets:",
        *(
            f"  {called(item.against)} ({product(item.realised)}): "
            + (
                "the same network"
                if item.verdict == "same"
                else f"fitted {in_points(item.difference, item.low, item.high)}; measured "
                f"{measured(item.measured)}"
            )
            for item in found.comparisons
        ),
    ]


def _latencies(found: ScalingResult) -> list[str]:
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

"""Two families at equal realised cost: ReXNet's widths beside EfficientNet's members.

The scalability figure of Han et al. 2021 (arXiv:2007.00992, section 5) without its unequal costs:
for each EfficientNet the ReXNet is sought, by the family's own rule of width, that costs the same,
once for each kind of cost. Accuracies are the published ones, on ImageNet, of either family's own
training recipe; a width that was never trained has none of its own, so that between two published
widths the accuracy is interpolated, linearly in the logarithm of the width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from models.cost import cost
from models.families import EFFICIENTNET_MULTIPLIERS, family
from models.reference.published import PUBLISHED
from models.spec import ArchSpec
from nas.costing import COSTS, LATENCY, cost_text
from reports.figures import CHOSEN, FRONT, new_figure, save
from trials.latencies import Reading

MEMBERS = tuple(EFFICIENTNET_MULTIPLIERS)
WIDTHS = (0.9, 1.0, 1.3, 1.5, 2.0, 3.0)  # with published accuracies
STEP = 0.01  # of widths
_STRIDE, _MOST = 1.25, 12.0

CostOf = Callable[[ArchSpec], float]
Timed = Callable[[ArchSpec], Reading]


class Match(NamedTuple):
    """An EfficientNet, and the ReXNet of that width which costs the same of one kind.

    top1    published; ``other`` likewise, interpolated between widths, None outside of them
    times   of both, measured in turn with the EfficientNet; None where nobody asked
    """

    member: str
    kind: str
    cost: float
    width: float
    matched: float
    top1: float
    other: float | None
    times: tuple[Reading, Reading] | None = None

    @property
    def deviation(self) -> float:
        """Of the ReXNet's cost from the EfficientNet's, in per cent."""
        return 100 * (self.matched / self.cost - 1)


def published(member: str) -> float:
    """Top-1 of an EfficientNet, in per cent."""
    found = PUBLISHED[f"EfficientNet-{member.rpartition('-')[2].upper()}"].top1
    if found is None:
        raise ValueError(f"{member} has no published accuracy")
    return found


def between(width: float) -> float | None:
    """Top-1 of a ReXNet, in per cent; None for a width outside the published ones."""
    if not WIDTHS[0] <= width <= WIDTHS[-1]:
        return None
    known = [PUBLISHED[f"ReXNet x{one:.1f}"].top1 for one in WIDTHS]
    return float(np.interp(math.log(width), np.log(WIDTHS), np.array(known, dtype=float)))


def rexnet(width: float) -> ArchSpec:
    """ReXNet of that width."""
    return family(f"rexnet-{round(width, 2):g}")


def matched(member: str, kind: str, of: CostOf) -> Match:
    """The width, in steps of ``STEP``, whose ReXNet comes nearest to the member in ``kind``.

    From width 1 outwards until the member lies between two, then bisection: no wider ReXNet costs
    less. Raises ValueError where none is as costly.
    """
    wanted = of(family(member))
    low = high = round(1 / STEP)
    while of(rexnet(high * STEP)) < wanted:
        low, high = high, math.ceil(high * _STRIDE)
        if high * STEP > _MOST:
            raise ValueError(
                f"no ReXNet up to width {_MOST:g} has the {kind} of {member}: leave it out"
            )
    while of(rexnet(low * STEP)) > wanted:
        low, high = math.floor(low / _STRIDE), low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if of(rexnet(middle * STEP)) < wanted else (low, middle)
    width = round(STEP * min((low, high), key=lambda n: abs(of(rexnet(n * STEP)) - wanted)), 2)
    return Match(member, kind, wanted, width, of(rexnet(width)), published(member), between(width))


def closed_form(kind: str) -> CostOf:
    """A field of ``models.cost.Cost`` as a function."""
    return lambda spec: float(getattr(cost(spec), kind))


def matches(
    members: Sequence[str],
    kinds: Sequence[str],
    timed: Callable[[str], Timed],
    latencies: bool = False,
) -> Iterator[Match]:
    """Of every member and kind, with ``latencies`` of both networks; ``timed`` gives what measures
    them in turn with a member."""
    for kind in kinds:
        for member in members:
            of = closed_form(kind) if kind in COSTS else _median(timed(member))
            one = matched(member, kind, of)
            if latencies:
                measure = timed(member)
                one = one._replace(times=(measure(family(member)), measure(rexnet(one.width))))
            yield one


def _median(timed: Timed) -> CostOf:
    return lambda spec: timed(spec).median


def markdown(found: Sequence[Match]) -> str:
    """The table, and how to read it; columns of latencies where they were measured."""
    own = ["cost", "latency", "top-1"] if any(one.times for one in found) else ["cost", "top-1"]
    head = ["equal", "EfficientNet", *own, "ReXNet", *own, "difference"]
    rule = ["---" if name in ("equal", "EfficientNet", "ReXNet") else "---:" for name in head]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, rule, *map(_cells, found))]
    return "\n".join(
        [
            *lines,
            "",
            "macs are multiply-adds of convolution and linear layers at each network's own pixels, "
            "224 for any ReXNet, 224 to 600 for B0 to B7. Accuracies are published, per cent on "
            "ImageNet, each family by its own recipe; ReXNet's are interpolated between published "
            "widths, linearly in the logarithm of the width. A difference of recipes is in them.",
        ]
    )


def _cells(one: Match) -> list[str]:
    """A row of the table."""
    costs = [cost_text(one.kind, one.cost),
             f"{cost_text(one.kind, one.matched)} ({one.deviation:+.1f} %)"]  # fmt: skip
    times: list[list[str]] = [[], []]
    if one.times:
        (own, _, _, _), (other, _, _, _) = one.times
        after = f" ({100 * (other / own - 1):+.1f} %)"
        times = [[cost_text(LATENCY, own)], [cost_text(LATENCY, other) + after]]
    top1 = gain = "–"
    if one.other is not None:
        top1, gain = f"{one.other:.1f}", f"{one.other - one.top1:+.1f}"
    member = one.member.rpartition("-")[2].upper()
    return [one.kind, member, costs[0], *times[0], f"{one.top1:.1f}", f"x{one.width:.2f}",
            costs[1], *times[1], top1, gain]  # fmt: skip


def table(found: Sequence[Match]) -> pd.DataFrame:
    """One row a match, numbers as counted; latencies in seconds, median and quartiles."""
    records: list[dict[str, Any]] = []
    for one in found:
        facts = one._asdict() | {"deviation_pct": one.deviation}
        for whose, time in zip(("", "matched_"), facts.pop("times") or (), strict=False):
            facts |= {f"{whose}latency{end}": value for end, value in
                      zip(("", "_low", "_high"), time, strict=False)}  # fmt: skip
        records.append(facts)
    return pd.DataFrame(records)


def figure(directory: Path) -> list[Path]:
    """Published accuracy against each closed-form cost of both families; the pictures' paths."""
    families = (
        ("EfficientNet B0–B7", FRONT, [(family(name), published(name)) for name in MEMBERS]),
        ("ReXNet x0.9–x3.0", CHOSEN, [(rexnet(width), between(width)) for width in WIDTHS]),
    )
    paths = []
    for kind in COSTS:
        drawn, axes = new_figure()
        axes.set_xscale("log")
        for label, colour, own in families:
            costs = [closed_form(kind)(spec) for spec, _ in own]
            axes.plot(
                costs,
                np.array([top1 for _, top1 in own], dtype=float),
                "o-",
                color=colour,
                label=label,
            )
        written = FuncFormatter(_writer(kind))
        axes.xaxis.set_major_formatter(written)
        axes.xaxis.set_minor_formatter(written)
        axes.set_xlabel(f"{kind}, counted")
        axes.set_ylabel("ImageNet top-1 accuracy, published (%)")
        axes.legend(fontsize=8, loc="lower right")
        paths.append(directory / f"scalability-{kind}.png")
        save(drawn, paths[-1])
    return paths


def _writer(kind: str) -> Callable[[float, Any], str]:
    return lambda value, _: cost_text(kind, value)

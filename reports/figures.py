"""Figures, drawn without a display; each function writes one PNG, and for print what is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.tri import Triangulation

from common.units import format_size
from nas.belief.account import NAMED
from nas.result import Candidate
from reports.journal import for_print
from scaling_search.result import ScalingResult
from scaling_search.surface.simplex import MESH, mesh, multiples

CHOSEN, FRONT, PLAIN, SCALE = "#d1242f", "#1f6feb", "#8c959f", "#57606a"
BELIEVED = "#009e73"
VIEWS = {"prior": BELIEVED, "capacity": FRONT, "none": SCALE}
# The chosen network is told by its shape and its edge by whoever sees no difference of colours.
_STAR: dict[str, Any] = {
    "marker": "*", "s": 280, "color": CHOSEN, "edgecolor": "black", "lw": 0.9, "zorder": 5,
}  # fmt: skip
# Of the chosen network trained again, then of known ones: told by shape first.
_MARKS: tuple[dict[str, Any], ...] = tuple(
    {"marker": marker, "color": color, "mfc": "white", "ms": 8, "lw": 0, "elinewidth": 1.4,
     "capsize": 3, "zorder": 4}
    for marker, color in (("*", CHOSEN), ("D", "#953800"), ("s", "#8250df"), ("P", "#24292f"),
                          ("X", "#953800"), ("^", "#8250df"), ("v", "#24292f"))
)  # fmt: skip
_ROLES: dict[str, dict[str, Any]] = {
    role: {"marker": marker, "s": 70, "color": "#24292f", "lw": 0, "zorder": 4, "clip_on": False}
    for role, marker in (("depth", "v"), ("width", ">"), ("resolution", "^"), ("paper", "s"))
}
_DASHES = ((0, (4, 3)), (0, (8, 3, 1, 3)))
DPI = 130


def new_figure(width: float = 8, height: float = 4.6) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, without the two spines that carry nothing."""
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """Write the PNG, and what ``reports.journal`` is asked for beside it."""
    figure.savefig(path, dpi=DPI)
    for_print(figure, path.stem)
    plt.close(figure)


class Marked(NamedTuple):
    """A network of the picture beside the search's own: its mean accuracy, in [0, 1], and half of
    its interval's width, None where it was trained once."""

    name: str
    cost: float
    accuracy: float
    error: float | None


def pareto(
    path: Path,
    trained: Sequence[Candidate],
    front: Sequence[Candidate],
    best: Candidate,
    known: Sequence[tuple[str, float]],
    unit: str,
    window: tuple[float, float],
    chance: float | None,
    text: Callable[[float], str] = format_size,
    *,
    marked: Sequence[Marked] = (),
    expected: Sequence[Mapping[str, float]] = (),
) -> None:
    """Accuracy against cost: every trained network, the front, the chosen one.

    ``known`` networks stand at their cost only: they were not trained here; those ``marked`` were,
    the chosen one again the first of them. ``expected`` is the front that is believed in: "cost",
    "accuracy", "low", "high" by rising cost. ``text`` writes a cost.
    """
    figure, axes = new_figure(9.6)
    axes.axvspan(*window, color=FRONT, alpha=0.05, lw=0, label="window of costs")
    if expected:
        _band(axes, expected)
    axes.scatter(
        [c.cost for c in trained],
        [c.accuracy for c in trained],
        s=22,
        color=PLAIN,
        label=f"trained ({len(trained)})",
        zorder=2,
    )
    axes.step(
        [c.cost for c in front],
        [c.accuracy for c in front],
        where="post",
        color=FRONT,
        marker="o",
        ms=5,
        lw=1.4,
        label=f"Pareto front ({len(front)})",
        zorder=3,
    )
    axes.scatter([best.cost], [best.accuracy], label="chosen", **_STAR)
    for style, one in zip(_MARKS, marked, strict=False):
        axes.errorbar(one.cost, one.accuracy, yerr=one.error or 0.0, label=one.name, **style)
    for dashes, (name, cost) in zip(_DASHES, known, strict=False):
        axes.axvline(cost, color=SCALE, lw=1, ls=dashes, label=f"cost of {name}")
    if chance is not None and axes.get_ylim()[0] < chance * 1.5:
        axes.axhline(chance, color=SCALE, lw=1, ls=":", label="chance")
    axes.set_xlabel(unit)
    axes.set_ylabel("proxy accuracy (validation split)")
    axes.xaxis.set_major_formatter(lambda value, _: text(value) if value > 0 else "0")
    # Beside the axes: inside, it would lie on points wherever there are many.
    figure.legend(fontsize=8, loc="outside right upper", frameon=False)
    save(figure, path)


def _band(axes: Axes, expected: Sequence[Mapping[str, float]]) -> None:
    """The front that is believed in, with its interval."""
    costs, means, low, high = (
        [point[name] for point in expected] for name in ("cost", "accuracy", "low", "high")
    )
    axes.fill_between(costs, low, high, color=BELIEVED, alpha=0.15, lw=0, zorder=1)
    axes.plot(costs, means, color=BELIEVED, lw=1.4, ls="--", label="front expected (90 % band)")


def history(path: Path, trained: Sequence[Candidate]) -> None:
    """The reward of each trial and the highest so far."""
    figure, axes = new_figure(height=3.6)
    numbers, rewards = [c.number for c in trained], [c.reward for c in trained]
    best: list[float] = []
    for reward in rewards:
        best.append(max(reward, best[-1]) if best else reward)
    axes.scatter(numbers, rewards, s=20, color=PLAIN, label="trial")
    axes.step(numbers, best, where="post", color=CHOSEN, lw=1.6, label="highest so far")
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylabel("reward")
    axes.legend(fontsize=8, loc="lower right")
    save(figure, path)


def weights(path: Path, course: Sequence[Sequence[Any]]) -> None:
    """The probability of each view of a belief, after so many trainings: [trainings, by view]."""
    figure, axes = new_figure(height=3.2)
    trainings = [count for count, _ in course]
    for (name, color), style in zip(VIEWS.items(), ("-", "--", ":"), strict=True):
        if name in course[-1][1]:
            shares = [found[name] for _, found in course]
            axes.plot(trainings, shares, style, marker="o", ms=3.5, color=color, label=NAMED[name])
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("trainings")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylabel("probability")
    axes.legend(fontsize=8, loc="best")
    save(figure, path)


def surface(path: Path, found: ScalingResult, points: pd.DataFrame) -> None:
    """Fitted accuracy over β and γ at the target's cost, the trained points, the 90 % region."""
    at = mesh()
    _, widths, resolutions = multiples(at, found.grid.flops_ratio(at)).T
    plane = Triangulation(widths, resolutions, _triangles())
    figure, axes = new_figure(7.4, 5.6)
    fitted = np.minimum(100 * found.surface.mean(at), 100)  # which a polynomial does not know
    filled = axes.tricontourf(plane, fitted, levels=14, cmap="YlGn", alpha=0.9)
    figure.colorbar(filled, label="fitted proxy accuracy, %")
    inside = found.region.inside.astype(float)
    axes.tricontourf(plane, inside, levels=[-0.5, 0.5], colors=["white"], alpha=0.6)
    if inside.min() < inside.max():
        axes.tricontour(plane, inside, levels=[0.5], colors=[CHOSEN], linewidths=1.6)
    trained = points[points["role"] != "baseline"]
    axes.scatter(
        trained["realised_width"],
        trained["realised_resolution"],
        s=18 + 14 * trained["trainings"],
        facecolor="white",
        edgecolor="#24292f",
        lw=1,
        zorder=3,
        label="trained; larger: more often",
    )
    # By shapes and a legend: names at the points would lie on one another and on lines.
    for row in trained.to_dict("records"):
        if row["role"]:
            first = row["role"].split(", ")[0]
            label = row["role"].replace("paper", "the paper's direction")
            axes.scatter(
                row["realised_width"], row["realised_resolution"], label=label, **_ROLES[first]
            )
    best = found.coefficients
    answer = f"answer: α {best.alpha:.2f}, β {best.beta:.2f}, γ {best.gamma:.2f}"
    axes.scatter([best.beta], [best.gamma], label=answer, **_STAR)
    axes.set_xlabel("width multiplier β (realised)")
    axes.set_ylabel("resolution multiplier γ (realised)")
    figure.legend(fontsize=8, loc="outside lower center", ncols=3, frameon=False)
    save(figure, path)


def _triangles() -> list[tuple[int, int, int]]:
    """The mesh's own triangles: in the plane of β and γ its edge is a curve, which a Delaunay
    triangulation of the nodes would cut across."""
    place = {(round(MESH * a), round(MESH * b)): n for n, (a, b, _) in enumerate(mesh())}
    found = []
    for i, j in place:
        if i + j < MESH:
            found.append((place[i, j], place[i + 1, j], place[i, j + 1]))
        if i + j < MESH - 1:
            found.append((place[i + 1, j], place[i + 1, j + 1], place[i, j + 1]))
    return found


def points(path: Path, table: pd.DataFrame, target: str) -> None:
    """Mean accuracy of every trained point with its standard error, the best at the top."""
    figure, axes = new_figure(7.4, 0.8 + 0.27 * len(table))
    rows = table.iloc[::-1].to_dict("records")
    for y, row in enumerate(rows):
        colour = CHOSEN if row["chosen"] else FRONT if row["role"] else PLAIN
        error = 0 if row["se"] is None or np.isnan(row["se"]) else 100 * row["se"]
        axes.errorbar(100 * row["mean"], y, xerr=error, fmt="o", ms=5, color=colour, capsize=2)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8)
    axes.set_xlabel(f"mean proxy accuracy, % (validation split; all but the baseline at {target})")
    save(figure, path)


def _label(row: Mapping[Any, Any]) -> str:
    numbers = " × ".join(f"{row[f'realised_{d}']:.2f}" for d in ("depth", "width", "resolution"))
    role = f"{row['role']}: " if row["role"] else ""
    return f"{role}{numbers} (n={row['trainings']})"

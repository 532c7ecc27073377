"""Several runs in one picture; each goes by its letter, a colour and a shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib import pyplot as plt

from nas.objective import Objective
from nas.result import SearchResult, candidates
from reports.figures import new_figure, save
from scaling_search.result import ScalingResult
from scaling_search.summary import SYMBOLS

# Okabe and Ito's colours, their yellow, which is hardly seen on white, being grey here.
STYLES = tuple(
    zip(
        ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f"),
        "os^DvPX*",
        strict=True,
    )
)
MOST = len(STYLES)


def fronts(
    path: Path,
    found: Mapping[str, tuple[SearchResult, Objective]],
    unit: str,
    text: Callable[[float], str],
) -> None:
    """Each run's trained networks, pale, its front, and its chosen network, large."""
    figure, axes = new_figure(9.6)
    for (color, marker), (letter, (one, objective)) in zip(STYLES, found.items(), strict=False):
        trained = candidates(one.trials, objective)
        axes.scatter([c.cost for c in trained], [c.accuracy for c in trained], s=14, color=color,
                     marker=marker, alpha=0.4, lw=0)  # fmt: skip
        axes.step([c.cost for c in one.front], [c.accuracy for c in one.front], where="post",
                  color=color, marker=marker, ms=5, lw=1.4,
                  label=f"{letter}: front ({len(one.front)} of {len(trained)})")  # fmt: skip
        axes.scatter([one.best.cost], [one.best.accuracy], s=190, color=color, marker=marker,
                     edgecolor="black", lw=1, zorder=5, label=f"{letter}: chosen")  # fmt: skip
    axes.set_xlabel(unit)
    axes.set_ylabel("proxy accuracy (validation split)")
    axes.xaxis.set_major_formatter(lambda value, _: text(value) if value > 0 else "0")
    figure.legend(fontsize=8, loc="outside right upper", frameon=False)
    save(figure, path)


def progress(path: Path, found: Mapping[str, Sequence[float]], what: str) -> None:
    """How far each run was after so many trainings."""
    figure, axes = new_figure(height=3.6)
    for (color, marker), (letter, values) in zip(STYLES, found.items(), strict=False):
        axes.step(range(1, len(values) + 1), values, where="post", color=color, lw=1.6)
        axes.plot(len(values), values[-1], marker=marker, ms=8, color=color, label=letter)
    axes.set_xlabel("trainings, failed ones too")
    axes.set_ylabel(what)
    axes.legend(fontsize=8, frameon=False)
    save(figure, path)


def coefficients(path: Path, found: Mapping[str, ScalingResult]) -> None:
    """α, β and γ of each run with their intervals."""
    height = 1.2 + 0.35 * len(found)
    figure, panels = plt.subplots(
        1, len(SYMBOLS), figsize=(9.6, height), layout="constrained", sharey=True
    )
    for axes, (name, symbol) in zip(panels, SYMBOLS.items(), strict=True):
        for y, ((color, marker), one) in enumerate(zip(STYLES, found.values(), strict=False)):
            axes.plot(one.confidence[name], (y, y), color=color, lw=2)
            axes.plot(getattr(one.coefficients, name), y, marker, ms=8, color=color, mec="black")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6, axis="x")
        axes.set_xlabel(symbol)
        axes.set_yticks(range(len(found)), list(found))
        axes.set_ylim(len(found) - 0.5, -0.5)  # the first at the top
    save(figure, path)

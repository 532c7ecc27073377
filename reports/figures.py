"""Figures, drawn without a display; each function writes one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.sizes import format_size
from nas.result import Candidate

CHOSEN, FRONT, PLAIN, SCALE = "#d1242f", "#1f6feb", "#8c959f", "#57606a"
DPI = 130


def new_figure(width: float = 8, height: float = 4.6) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, without the two spines that carry nothing."""
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def pareto(
    path: Path,
    trained: Sequence[Candidate],
    front: Sequence[Candidate],
    best: Candidate,
    known: Sequence[tuple[str, float]],
    unit: str,
    window: tuple[float, float],
    chance: float | None,
) -> None:
    """Accuracy against cost: every trained network, the front, the chosen one.

    ``known`` networks are marked at their cost only: they were not trained here.
    """
    figure, axes = new_figure()
    axes.axvspan(*window, color=FRONT, alpha=0.05, lw=0, label="window of costs")
    axes.scatter([c.cost for c in trained], [c.accuracy for c in trained], s=22, color=PLAIN,
                 label=f"trained ({len(trained)})", zorder=2)  # fmt: skip
    axes.step([c.cost for c in front], [c.accuracy for c in front], where="post", color=FRONT,
              marker="o", ms=5, lw=1.4, label=f"Pareto front ({len(front)})", zorder=3)  # fmt: skip
    axes.scatter([best.cost], [best.accuracy], marker="*", s=260, color=CHOSEN, zorder=4,
                 label="chosen")  # fmt: skip
    for name, cost in known:
        axes.axvline(cost, color=SCALE, lw=1, ls=(0, (4, 3)))
        axes.annotate(f" {name}", (cost, 0.02), xycoords=("data", "axes fraction"), rotation=90,
                      va="bottom", ha="right", fontsize=8, color=SCALE)  # fmt: skip
    if chance is not None and axes.get_ylim()[0] < chance * 1.5:
        axes.axhline(chance, color=SCALE, lw=1, ls=":")
    axes.set_xlabel(unit)
    axes.set_ylabel("proxy accuracy (validation split)")
    axes.xaxis.set_major_formatter(lambda value, _: format_size(value) if value > 0 else "0")
    axes.legend(fontsize=8, loc="best", framealpha=0.9)
    save(figure, path)


def history(path: Path, trained: Sequence[Candidate]) -> None:
    """The reward of each trial and the best so far."""
    figure, axes = new_figure(height=3.6)
    numbers, rewards = [c.number for c in trained], [c.reward for c in trained]
    best: list[float] = []
    for reward in rewards:
        best.append(max(reward, best[-1]) if best else reward)
    axes.scatter(numbers, rewards, s=20, color=PLAIN, label="trial")
    axes.step(numbers, best, where="post", color=CHOSEN, lw=1.6, label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel("reward")
    axes.legend(fontsize=8, loc="lower right")
    save(figure, path)

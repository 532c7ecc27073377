"""Accuracy against FLOPs of a study's networks, the published numbers on axes of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from common.units import format_size
from reports.figures import save

_WIDTH, _HEIGHT = 6.4, 4.2  # inches of one panel
_APART = 3.0  # points of 1/72 inch between the marks of two series


def draw(path: Path, table: pd.DataFrame, published: pd.DataFrame) -> None:
    """A row of panels for each baseline: what was trained, and what was published if anything was.

    ``table`` and ``published`` have the columns of ``reports.scaling.study``'s tables.
    """
    names, columns = list(dict.fromkeys(table["baseline"])), 2 if len(published) else 1
    figure, panels = plt.subplots(
        len(names),
        columns,
        squeeze=False,
        layout="constrained",
        figsize=(_WIDTH * columns, _HEIGHT * len(names)),
    )
    colours = _colours([*table["series"], *published["series"]])
    for name, row in zip(names, panels, strict=True):
        trained = table[(table["baseline"] == name) & (table["trainings"] > 0)]
        _panel(row[0], trained.assign(accuracy=trained["mean"].astype(float)), colours)
        row[0].set_title(f"{name}: trained here", fontsize=10, parse_math=False)
        row[0].set_ylabel("proxy accuracy, % (validation split)")
        if columns == 2:
            printed = published[published["baseline"] == name]
            row[1].set_visible(len(printed) > 0)
            _panel(row[1], printed, colours)
            row[1].set_title(f"{name}: published (arXiv:1905.11946)", fontsize=10, parse_math=False)
            row[1].set_ylabel("ImageNet top-1, %")
    save(figure, path)


def _colours(series: list[str]) -> dict[str, Any]:
    others = [name for name in dict.fromkeys(series) if name != "baseline"]
    return {name: plt.colormaps["tab10"](i % 10) for i, name in enumerate(others)}


def _panel(axes: Axes, rows: pd.DataFrame, colours: dict[str, Any]) -> None:
    """One line a series, each from the baseline where that is a series of its own."""
    axes.set_xscale("log")
    start = rows[rows["series"] == "baseline"]
    drawn = [name for name in colours if (rows["series"] == name).any()]
    for i, name in enumerate(drawn):
        own = rows[rows["series"] == name].sort_values("macs")
        line = pd.concat([start, own]).sort_values("macs")
        axes.plot(line["macs"], 100 * line["accuracy"], color=colours[name], lw=1.2)
        # Entries of equal cost and like accuracy would hide one another.
        _marks(
            axes, own, name, _APART * (i - (len(drawn) - 1) / 2), color=colours[name], marker="o"
        )
    if len(start):
        _marks(axes, start, "baseline", 0, color="#24292f", marker="s")
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: format_size(value))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_xlabel("FLOPs (multiply-adds of one image)")
    if len(rows):
        axes.legend(fontsize=8, loc="best", framealpha=0.9)


def _marks(axes: Axes, rows: pd.DataFrame, label: str, shift: float, **style: Any) -> None:
    """Marks; with standard errors where there are any, then ``shift`` points to the right."""
    accuracy = 100 * rows["accuracy"]
    errors = 100 * rows["se"].astype(float).fillna(0) if "se" in rows else 0 * accuracy
    moved = ScaledTranslation(shift / 72 if errors.any() else 0, 0, axes.figure.dpi_scale_trans)
    axes.errorbar(
        rows["macs"],
        accuracy,
        yerr=errors if errors.any() else None,
        label=label,
        lw=0,
        ms=5,
        elinewidth=1.2,
        capsize=2,
        transform=axes.transData + moved,
        zorder=3,
        **style,
    )
    # What has a transform of its own is left out of the axes' limits.
    axes.update_datalim([*zip(rows["macs"], accuracy - errors, strict=True)])
    axes.update_datalim([*zip(rows["macs"], accuracy + errors, strict=True)])
    axes.autoscale_view()

"""Curves of rank ratios, and the ranks of a network's layers from its first to its last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from reports.figures import CHOSEN, FRONT, PLAIN, save
from reports.ranks.blocks import NONLINEARITIES
from reports.ranks.layers import Layer
from reports.ranks.study import Ranks

_COLOURS = dict(zip(NONLINEARITIES, colormaps["tab10"].colors, strict=False))  # type: ignore[attr-defined]


def curves(path: Path, found: Ranks, tolerances: Sequence[float]) -> None:
    """Mean rank ratio against the ratio of dimensions, one panel a block and tolerance; the bands
    are the networks' quartiles."""
    table, blocks = found.table(), list(dict.fromkeys(block for block, _ in found.found))
    size = (3.4 * len(blocks), 0.6 + 2.7 * len(tolerances))
    figure, grid = plt.subplots(
        len(tolerances), len(blocks), figsize=size, layout="constrained", sharex=True, sharey=True,
        squeeze=False,
    )  # fmt: skip
    for axes_of, tolerance in zip(grid, tolerances, strict=True):
        for axes, block in zip(axes_of, blocks, strict=True):
            _panel(axes, table[(table.block == block) & (table.tolerance == tolerance)])
            axes.set_title(f"{block}, tolerance {tolerance:g}", fontsize=9)
    figure.supxlabel("ratio of dimensions, channels in / channels out")
    figure.supylabel("rank / channels out")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8)
    save(figure, path)


def _panel(axes: Axes, table: pd.DataFrame) -> None:
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_ylim(0, 1.03)
    for f, own in table.groupby("nonlinearity", sort=False):
        at, colour = own["dimension_ratio"], _COLOURS[str(f)]
        axes.fill_between(at, own["quartile_low"], own["quartile_high"], color=colour, alpha=0.1)
        axes.plot(at, own["mean"], marker="o", ms=2.5, lw=1.2, color=colour, label=str(f))


def depth(path: Path, told: Mapping[str, Sequence[Layer]], tolerance: int, says: str) -> None:
    """Rank ratio of each layer, of several versions of one network; ``tolerance`` is its position
    among those measured, ``says`` its value in words."""
    figure, axes = plt.subplots(figsize=(10, 4.4), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    for (label, layers), colour in zip(told.items(), (CHOSEN, PLAIN), strict=False):
        axes.plot([one.ratios[tolerance] for one in layers], lw=1.2, color=colour, label=label)
        for kind, marker in (("1×1", "o"), ("depthwise", "^")):
            at = [i for i, one in enumerate(layers) if kind in one.kind]
            own = [layers[i].ratios[tolerance] for i in at]
            axes.plot(at, own, marker, ms=4, color=colour, label=f"{kind}, {label}")
    any_layers = next(iter(told.values()))
    limits = [min(1.0, one.dimension_ratio) for one in any_layers]
    axes.step(
        np.arange(len(limits)), limits, where="mid", color=FRONT, lw=0.8, ls=":",
        label="channels in / channels out, at most 1",
    )  # fmt: skip
    axes.set_xlabel("convolution, from the first to the last")
    axes.set_ylabel(f"rank / channels out ({says})")
    axes.set_ylim(0, 1.05)
    figure.legend(fontsize=8, ncols=4, loc="outside upper center")
    save(figure, path)

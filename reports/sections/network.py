"""A network stage by stage, as a data frame, as people read it, and drawn beside another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import pandas as pd

from common.units import format_size
from models.describe import stages
from models.spec import ArchSpec
from reports.figures import CHOSEN, FRONT, save


def stage_table(spec: ArchSpec) -> pd.DataFrame:
    """One row for the stem, each stage and the head.

    Columns: operator, resolution (of the input map in pixels, as ``"112×112"``), channels, layers,
    macs, params.
    """
    table = pd.DataFrame(stages(spec))
    table["resolution"] = [f"{side}×{side}" for side in table["resolution"]]
    return table


def readable(table: pd.DataFrame) -> list[list[str]]:
    """The rows with sizes as people read them."""
    return [
        [*(str(cell) for cell in row[:4]), format_size(row[4]), format_size(row[5])]
        for row in table.itertuples(index=False)
    ]


class Bar(NamedTuple):
    """A row of a drawing: what stands above it, and how many layers have so many channels each."""

    text: str
    channels: int
    layers: int


def bars(spec: ArchSpec) -> Iterator[Bar]:
    """The stem, each stage and the head."""
    *inner, head = stages(spec)
    for one in inner:
        layers = f"{one.layers} × " if one.layers > 1 else ""
        text = f"{layers}{one.operator}; {one.channels} channels at {one.resolution}²"
        yield Bar(text, one.channels, one.layers)
    yield Bar(f"{head.operator}; {spec.classes} classes", spec.head or spec.classes, 1)


def drawn(path: Path, networks: Mapping[str, ArchSpec]) -> None:
    """Draw networks one above the other, the first in the chosen one's colour: the stem, each
    stage and the head from top to bottom, a block for each layer, as long as its channels."""
    every = [list(bars(spec)) for spec in networks.values()]
    most = max(one.channels * one.layers for own in every for one in own)
    figure, axes = plt.subplots(
        len(networks),
        figsize=(8, sum(0.4 * len(own) + 0.6 for own in every)),
        height_ratios=list(map(len, every)),
        squeeze=False,
        gridspec_kw={"left": 0.01, "right": 0.99, "bottom": 0.01, "top": 0.96, "hspace": 0.12},
    )
    for own, made, (name, spec) in zip(axes[:, 0], every, networks.items(), strict=True):
        for place, one in enumerate(made):
            own.barh(
                [place] * one.layers,
                one.channels - 0.004 * most,
                0.3,
                [layer * one.channels for layer in range(one.layers)],
                color=CHOSEN if made is every[0] else FRONT,
                alpha=0.5,
            )
            own.text(0, place - 0.25, one.text, fontsize=7, va="bottom")
        own.set(xlim=(0, most), ylim=(len(made) - 0.6, -0.9), xticks=[], yticks=[])
        own.set_title(f"{name}, {spec.resolution} pixels", fontsize=9, loc="left")
        own.spines[:].set_visible(False)
    save(figure, path)

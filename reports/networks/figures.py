"""Accuracy against parameters and against FLOPs: Figures 1 and 5 of arXiv:1905.11946."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes

from common.units import format_size
from reports.figures import CHOSEN, FRONT, new_figure, save
from reports.networks.measured import Row

LABELLED = 30  # with more networks than this only the families are named
EMPHASISED = "EfficientNet"
_LETTER, _LINE = 7.0, 14.0  # of a label, in pixels of the drawing
_COLOURS = [colour for i, colour in enumerate(colormaps["tab20"].colors) if i not in (6, 7)]  # type: ignore[attr-defined]


def draw(directory: Path, found: Sequence[Row], own: Sequence[Row] = ()) -> list[Path]:
    """Write both pictures; the paths.

    Costs are measured, accuracies published. ``own`` networks, whose accuracy on ImageNet nobody
    knows, are marked on the axis at their cost.
    """
    axes_of = {"params": "parameters", "flops": "FLOPs (multiply-adds of one image)"}
    paths = []
    for what, label in axes_of.items():
        figure, axes = new_figure(9, 6)
        # Sizes span four orders of magnitude; the paper's own axes are linear and cut.
        axes.set_xscale("log")
        points = _published(axes, found, what)
        _own(axes, own, what)
        axes.xaxis.set_major_formatter(lambda value, _: format_size(value))
        axes.set_xlabel(f"{label}, measured")
        axes.set_ylabel("ImageNet top-1 accuracy, published (%)")
        if len(found) <= LABELLED:
            _name(axes, points)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, loc="lower right")
        paths.append(directory / f"accuracy-{what}.png")
        save(figure, paths[-1])
    return paths


def _published(axes: Axes, found: Sequence[Row], what: str) -> list[tuple[float, float, str]]:
    families: dict[str, list[tuple[float, float, str]]] = {}
    for row in found:
        if row.published and row.published.top1 is not None:
            point = (getattr(row, what).measured, row.published.top1, row.name)
            families.setdefault(row.published.family, []).append(point)
    for index, (family, points) in enumerate(families.items()):
        points.sort()
        loud = family == EMPHASISED
        axes.plot(
            [p[0] for p in points],
            [p[1] for p in points],
            marker="o",
            label=family if loud or len(found) > LABELLED else None,
            ms=6 if loud else 4,
            lw=2 if loud else 0.9,
            zorder=3 if loud else 2,
            color=CHOSEN if loud else _COLOURS[index % len(_COLOURS)],
        )
    return [point for points in families.values() for point in points]


def _name(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """A label beside each point, at the first of six places where no label stands yet."""
    axes.autoscale_view()
    taken: list[tuple[float, float, float]] = []
    for x, y, name in sorted(points, key=lambda point: -point[1]):
        text = name.removeprefix("EfficientNet-")
        px, py = axes.transData.transform((x, y))
        width = _LETTER * len(text)
        places = [(9, -5), (9, 6), (9, -18), (-9 - width, 4), (-9 - width, -14), (9, -32)]
        for dx, dy in places:
            box = (px + dx, py + dy, width)
            if not any(_overlap(box, other) for other in taken):
                break
        taken.append(box)
        axes.annotate(text, (x, y), (dx, dy), fontsize=8, textcoords="offset pixels")


def _overlap(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    apart = one[0] + one[2] < other[0] or other[0] + other[2] < one[0]
    return not apart and abs(one[1] - other[1]) < _LINE


def _own(axes: Axes, own: Sequence[Row], what: str) -> None:
    at = [getattr(row, what).measured for row in own]
    if at:
        axes.plot(
            at,
            [0.0] * len(at),
            marker="^",
            ls="",
            ms=9,
            color=FRONT,
            clip_on=False,
            transform=axes.get_xaxis_transform(),
            label="your family (accuracy on ImageNet unknown)",
        )
    for x, row in zip(at, own, strict=True):
        axes.annotate(
            row.name,
            (x, 0.02),
            xycoords=("data", "axes fraction"),
            rotation=90,
            fontsize=7,
            ha="center",
            va="bottom",
            color=FRONT,
        )

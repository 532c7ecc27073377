"""The points of a scaling search: their table as CSV and on the page, and what was left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from common.units import format_size
from reports.page import Page
from reports.sections.classes import Kinds, mean_of, percent
from scaling_search.coefficients import Multipliers
from scaling_search.points.grid import Grid, splits
from scaling_search.points.point import SINGLES, multipliers
from scaling_search.points.rounding import roundings
from scaling_search.points.solver import FINE
from scaling_search.result import ScalingResult
from scaling_search.summary import product, quartiles, shared
from scaling_search.surface.samplers import evidence_of
from trials.latencies import Reading
from trials.record import Evaluation
from trials.store.view import RunView

_CORNERS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def points_table(run: RunView, tried: Grid, found: ScalingResult) -> pd.DataFrame:
    """One row for each point that was trained, the most accurate first.

    Columns: role, nominal and realised multipliers, macs, ratio, where it was measured latency with
    its quartiles (seconds) and n, trainings, mean and se (standard error of the mean) of the
    accuracy, fitted accuracy, plain and balanced (means of either accuracy), adjusted, chosen.
    """
    roles: dict[int, list[str]] = {}
    for role, place in tried.roles.items():
        roles.setdefault(place, []).append(role)
    accuracies: dict[int, list[float]] = {}
    for training in evidence_of(run.study, tried).done:
        accuracies.setdefault(training.place, []).append(float(training.accuracy or 0))
    trained: dict[int, list[Evaluation]] = {}
    for record in run.finished():
        if record.evaluation is not None:
            trained.setdefault(tried.place_of(record.spec.to_json()), []).append(record.evaluation)
    rows = []
    for place, values in accuracies.items():
        point = tried.points[place]
        n = len(values)
        rows.append(
            {
                "role": ", ".join(roles.get(place, [])),
                **{f"nominal_{name}": value for name, value in point.nominal._asdict().items()},
                **{f"realised_{name}": value for name, value in point.realised._asdict().items()},
                "macs": point.macs,
                "ratio": point.ratio,
                **_latency(point.latency),
                "trainings": n,
                "mean": float(np.mean(values)),
                "se": float(np.std(values, ddof=1) / n**0.5) if n > 1 else None,
                "fitted": float(found.surface.mean(tried.shares[[place]])[0]) if place else None,
                **{
                    name: mean_of(f"{name}_accuracy", trained.get(place, []))
                    for name in ("plain", "balanced")
                },
                "adjusted": ", ".join(dict.fromkeys(point.adjusted)),
                "chosen": point is found.point or point == found.point,
            }
        )
    return pd.DataFrame(rows).sort_values("mean", ascending=False, ignore_index=True)


def _latency(reading: Reading | None) -> dict[str, float]:
    if reading is None:
        return {}
    return {f"latency_{name}": value for name, value in reading._asdict().items()}


def add_points(page: Page, points: pd.DataFrame, tried: Grid, names: Kinds) -> None:
    """The section on the trained points."""
    page.heading("What was trained")
    page.text(
        f"{len(points)} of {len(tried.points)} points, {shared(tried)}; {tried.dropped} nominal "
        f"points could not reach this and were left out, {tried.merged} became equal to another."
    )
    measured = "latency_median" in points
    other = names.key.removesuffix("_accuracy")
    both = bool(points[other].notna().any())
    rows = []
    for row in points.to_dict("records"):
        spread = "" if row["se"] is None or np.isnan(row["se"]) else f" ± {100 * row['se']:.2f}"
        rows.append(
            [
                row["role"] or "grid",
                *(
                    product(Multipliers(*(row[f"{kind}_{name}"] for name in SINGLES)))
                    for kind in ("nominal", "realised")
                ),
                *([_stored(row)] if measured else []),
                format_size(row["macs"]),
                f"{row['ratio']:.3f}",
                row["trainings"],
                f"{100 * row['mean']:.2f}{spread} %",
                *([percent(row[other])] if both else []),
                row["adjusted"],
            ]
        )
    chosen = points.index[points["chosen"]]
    page.table(
        [
            "point",
            "nominal d × w × r",
            "realised d × w × r",
            *(["latency, quartiles"] if measured else []),
            "FLOPs",
            "ratio of FLOPs",
            "trainings",
            names.heading,
            *([names.other] if both else []),
            "fine adjustment",
        ],
        rows,
        int(chosen[0]) if len(chosen) else None,
    )


def _stored(row: dict[Any, Any]) -> str:
    names = (f"latency_{name}" for name in Reading._fields)
    return quartiles(Reading(*(row[name] for name in names)))


def add_left_out(page: Page, tried: Grid) -> None:
    """The points that are missing, if any."""
    if tried.left_out:
        page.heading("Left out")
        page.table(
            ["nominal point", "the nearest network"],
            [line.split(": ", 1) for line in tried.left_out],
        )


def add_rounding(page: Page, found: ScalingResult, settings: dict[str, Any]) -> None:
    """What rounding layers up, or to the nearest number, costs; and what adjusting makes of it.

    How a factory of modules rounds is its own, and not told.
    """
    page.heading("What rounding costs")
    if settings["depth_rounding"] is not None:
        _rules(page, found, settings)
    errors = [abs(point.error) for point in found.grid.points[1:]]
    fine = sum(error <= FINE for error in errors)
    page.text(
        f"Adjusted by resolution, layers and widths, the {len(errors)} points lie within "
        f"{100 * max(errors):.2f} % of the target, {fine} of them within {100 * FINE:.0f} %."
    )


def _rules(page: Page, found: ScalingResult, settings: dict[str, Any]) -> None:
    ratio = found.coefficients.product
    every = (*_CORNERS, *splits(settings["step"]))
    wanted = [multipliers(split, ratio) for split in every]
    page.text(
        f"Layers were rounded by the rule {settings['depth_rounding']}. The nominal points as "
        f"either rule rounds them, before their cost is adjusted; each asks for {ratio:.2f} times "
        "the baseline's FLOPs:"
    )
    rows = [
        [
            item.rule,
            item.points,
            item.levels,
            _spread(item.deeper),
            _spread(item.dearer),
            f"{item.within} of {item.points}",
        ]
        for item in roundings(found.grid.baseline.spec, wanted, ratio)
    ]
    page.table(
        [
            "rule",
            "nominal points",
            "different depths",
            "realised over nominal depth",
            "FLOPs over those asked for",
            "within 3 %",
        ],
        rows,
    )


def _spread(values: tuple[float, float, float]) -> str:
    least, median, greatest = values
    return f"{median:.2f} ({least:.2f} to {greatest:.2f})"

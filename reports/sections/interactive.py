"""The front to look into: hover, switch off, rank anew; by Vega-Lite, inside the page.

The page stays one file that asks for nothing: the libraries' code is put into it. It comes from
``vl-convert-python`` (extra ``interactive``); without that the page has its pictures alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from common.units import format_size
from models.cost import cost
from models.spec import StageSpec
from nas.costing import LATENCY, cost_text
from nas.objective import Objective
from nas.result import Candidate, SearchResult, candidates
from reports.page import Page
from trials.record import Evaluation

VERSION = "6.4"  # of Vega-Lite
_LABELS = {"macs": "FLOPs", "params": "parameters", LATENCY: "seconds"}
CHOSEN, FRONT, TRAINED = "chosen", "Pareto front", "trained"
_COLOURS = {CHOSEN: "#d1242f", FRONT: "#1f6feb", TRAINED: "#8c959f"}
_SHAPES = {CHOSEN: "diamond", FRONT: "square", TRAINED: "circle"}
_REWARD = (  # as nas.objective has it
    "aim == 'hard' ? datum.accuracy * min(1, T * each / datum.cost)"
    " : datum.accuracy * pow(datum.cost / (T * each), datum.cost > T * each ? over : w)"
)


def library() -> str | None:
    """The JavaScript of Vega, Vega-Lite and Vega-Embed; None where it is not installed."""
    try:
        import vl_convert
    except ImportError:
        return None
    # The stub says that there must be a snippet; without one the bundle is for pages.
    code: str = vl_convert.javascript_bundle(None, vl_version=VERSION)  # type: ignore[arg-type]
    return code


def chart(
    found: SearchResult,
    trained: Sequence[Candidate],
    evaluations: Mapping[int, Evaluation],
    objective: Objective,
    kind: str,
) -> dict[str, Any]:
    """A Vega-Lite specification: every trained network, the best of them by the reward that the
    sliders make, which begin as the search had them."""
    unit = 1e6 if objective.budget >= 1e6 else 1.0
    label = _LABELS.get(kind, kind)
    front = {one.number for one in found.front}
    rows = [
        _row(one, evaluations[one.number], kind)
        | {"is": CHOSEN if one.number == found.best.number
           else FRONT if one.number in front else TRAINED}
        for one in trained
    ]  # fmt: skip
    stages = max(len(one.spec.stages) for one in trained)
    names = [
        ("network", "network"), ("trial", "trial"), ("shown", "accuracy"), ("costs", label),
        ("reward", "reward, by the sliders"), ("params", "parameters"), ("loss", "loss"),
        ("seed", "seed"), *((f"stage{i}", f"stage {i}") for i in range(stages)),
    ]  # fmt: skip
    shared = {
        "x": {"field": "cost", "type": "quantitative", "title": label, "scale": {"zero": False},
              "axis": {"format": "~s"}},
        "y": {"field": "accuracy", "type": "quantitative", "title": "proxy accuracy",
              "scale": {"zero": False}, "axis": {"format": "%"}},
    }  # fmt: skip
    series = list(_COLOURS)
    points = {
        "params": [{"name": "series", "select": {"type": "point", "fields": ["is"]},
                    "bind": "legend"}],
        "mark": {"type": "point", "filled": True, "size": 70},
        "encoding": {
            **shared,
            "color": {"field": "is", "type": "nominal", "title": None,
                      "scale": {"domain": series, "range": list(_COLOURS.values())}},
            "shape": {"field": "is", "type": "nominal", "title": None,
                      "scale": {"domain": series, "range": list(_SHAPES.values())}},
            "opacity": {"condition": {"param": "series", "value": 0.9}, "value": 0.06},
            "tooltip": [{"field": field, "title": title} for field, title in names],
        },
    }  # fmt: skip
    ringed = {
        "transform": [{"filter": "datum.rank == 1"}],
        "mark": {"type": "point", "size": 420, "strokeWidth": 2, "color": _COLOURS[CHOSEN]},
        "encoding": shared,
    }
    named = {
        "transform": [
            {"filter": "datum.rank == 1"},
            {
                "calculate": "datum.network + ', ' + datum.shown + ' at ' + datum.costs",
                "as": "said",
            },
        ],
        "mark": {"type": "text", "align": "left", "fontSize": 13, "color": _COLOURS[CHOSEN]},
        "encoding": {"x": {"value": 0}, "y": {"value": -12}, "text": {"field": "said"}},
    }
    return {
        "width": 640,
        "height": 320,
        "background": "transparent",
        "params": [
            {"name": "each", "value": unit},
            {"name": "over", "expr": "w" if objective.over is None else str(objective.over)},
            _slider("T", objective.budget / unit, f"T ({'M ' if unit > 1 else ''}{label})"),
            {"name": "w", "value": objective.w,
             "bind": {"input": "range", "min": min(-0.5, objective.w),
                      "max": max(0.0, objective.w), "step": 0.01}},
            {"name": "aim", "value": "hard" if objective.aim == "hard" else "reward",
             "bind": {"input": "select", "options": ["reward", "hard"]}},
        ],
        "data": {"values": rows},
        "transform": [
            {"calculate": _REWARD, "as": "reward"},
            {"window": [{"op": "row_number", "as": "rank"}],
             "sort": [{"field": "reward", "order": "descending"}]},
        ],
        "layer": [points, ringed, named],
    }  # fmt: skip


def _slider(name: str, value: float, label: str) -> dict[str, Any]:
    bound = {"input": "range", "min": value / 4, "max": 2 * value, "step": value / 100}
    return {"name": name, "value": value, "bind": {**bound, "name": f"{label} "}}


def _row(one: Candidate, trained: Evaluation, kind: str) -> dict[str, Any]:
    stages = {f"stage{i}": _described(stage) for i, stage in enumerate(one.spec.stages)}
    return {
        "network": one.spec.name,
        "trial": one.number,
        "accuracy": one.accuracy,
        "shown": f"{100 * one.accuracy:.2f} %",
        "cost": one.cost,
        "costs": cost_text(kind, one.cost),
        "params": format_size(cost(one.spec).params),
        "loss": "" if trained.loss is None else f"{trained.loss:.4f}",
        "seed": trained.seed,
        **stages,
    }


def _described(stage: StageSpec) -> str:
    widths = ", ".join(dict.fromkeys(map(str, stage.widths)))
    return (
        f"{stage.layers} × {stage.block}, {widths} channels, kernel {stage.kernel}, "
        f"expansion {stage.expansion:g}{f', SE {stage.se:g}' if stage.se else ''}"
    )


def look_into(
    page: Page,
    found: SearchResult,
    evaluations: Mapping[int, Evaluation],
    objective: Objective,
    kind: str,
) -> None:
    """The chart, where its libraries are installed."""
    code = library()
    if code is None:
        return
    trained = candidates(found.trials, objective)
    page.script(code, embedded(chart(found, trained, evaluations, objective, kind)))
    page.note(
        "Hover for a network's stages; click the legend to see one series alone. T, w and the aim "
        "rank the trained networks anew: the ring is the best of them by accuracy as measured, "
        "once. The chosen network was named by more than that, as said above."
    )


def embedded(spec: Mapping[str, Any]) -> tuple[str, str]:
    """Two pieces of HTML: where the chart comes, and what draws it. Nothing in ``spec`` can end
    the script that holds it."""
    text = json.dumps(spec).replace("<", "\\u003c")
    return (
        '<div class="scroll interactive"><div id="look"></div></div>',
        f"<script>vegaEmbed('#look', {text}, {{renderer: 'svg', actions: false, theme: "
        "matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : undefined, "
        "config: {background: 'transparent'}})</script>",
    )

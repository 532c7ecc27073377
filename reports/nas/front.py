"""The Pareto front of a network search, as a table on its page and as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.units import format_size
from models.cost import cost
from nas.costing import COSTS, cost_text
from nas.result import SearchResult
from reports.nas.answer import trained_of
from reports.page import Page
from reports.sections.classes import kinds, mean_of, percent
from reports.tables import trials_table


def write_front(found: SearchResult, run_dir: Path) -> None:
    by_number = {record.number: record for record in found.trials}
    table = trials_table([by_number[candidate.number] for candidate in found.front])
    table.to_csv(run_dir / "pareto.csv", index=False)


def about_front(page: Page, found: SearchResult, settings: dict[str, Any]) -> None:
    page.heading("The Pareto front")
    rows, chosen = [], None
    kind, names, trained = settings["cost"], kinds(settings), trained_of(found)
    shown = sorted({*found.front, found.best}, key=lambda one: (one.cost, one.accuracy))
    beside = [mean_of(names.key, [trained[one.number]]) for one in shown]
    both = any(value is not None for value in beside)
    other = [] if kind in COSTS else [kind]  # what the other columns do not show
    for i, one in enumerate(shown):
        prices, mark = cost(one.spec), ""
        if one.number == found.best.number:
            chosen, mark = i, " ★ chosen"
            mark += "" if one in found.front else "; as measured not on the front"
        rows.append(
            [
                one.spec.name + mark,
                one.number,
                percent(one.accuracy),
                *([percent(beside[i])] if both else []),
                *(cost_text(kind, one.cost) for _ in other),
                format_size(prices.macs),
                format_size(prices.fvcore),
                format_size(prices.params),
                f"{one.reward:.4f}",
            ]
        )
    page.table(
        [
            "network",
            "trial",
            names.heading,
            *([names.other] if both else []),
            *other,
            "FLOPs",
            "fvcore total",
            "parameters",
            "reward",
        ],
        rows,
        chosen,
    )

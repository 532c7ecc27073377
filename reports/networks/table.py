"""Published networks, measured beside what was published: the table and its file."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from common.paths import check_directory
from common.units import format_size
from reports.networks.measured import Compared, Row, rows, run_rows


def markdown(found: Sequence[Row], left_out: Sequence[str] = ()) -> str:
    """The table, its notes and its sources."""
    ratios = any(row.params_ratio for row in found)
    sources = list(dict.fromkeys(row.published.source for row in found if row.published))
    head = ["network", "pixels", "parameters", "published"]
    head += ["ratio", "published"] if ratios else []
    head += ["FLOPs", "published"] + (["ratio", "published"] if ratios else [])
    head += ["fvcore total", "top-1 / top-5", "source"]
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    lines += [_line(_cells(row, ratios, sources)) for row in found]
    lines += [
        "",
        "FLOPs are multiply-adds of convolution and linear layers for one image; fvcore's total "
        "adds batch norm and pooling. In brackets: the measured value's deviation from the "
        "published one. Accuracies are the published ones, in per cent on ImageNet.",
    ]
    lines += ["", *(f"- \\* {', '.join(names)}: {note}." for note, names in _notes(found).items())]
    lines += ["", *(f"- [{i}] {source}" for i, source in enumerate(sources, 1))]
    lines += ["", *(f"- {reason}" for reason in left_out)] if left_out else []
    return "\n".join(lines) + "\n"


def _notes(found: Iterable[Row]) -> dict[str, list[str]]:
    """Each note, with the networks that it is about."""
    notes: dict[str, list[str]] = {}
    for row in found:
        if row.published and row.published.note:
            notes.setdefault(row.published.note, []).append(row.name)
    return notes


def _cells(row: Row, ratios: bool, sources: Sequence[str]) -> list[str]:
    published = row.published
    side = str(published.resolution) if published else ""
    name = f"**{row.name}**" if row.name == row.group else row.name
    cells = [name + (" \\*" if published and published.note else ""), side]
    for value, ratio in ((row.params, row.params_ratio), (row.flops, row.flops_ratio)):
        cells += [format_size(value.measured), _published(value, _printed)]
        if ratios:
            cells.append(f"{ratio.measured:.3g}x" if ratio else "")
            cells.append(_published(ratio, lambda number: f"{number:g}x") if ratio else "")
    top = (published.top1, published.top5) if published else (None, None)
    cells += [format_size(row.fvcore), " / ".join("–" if a is None else f"{a:.1f}" for a in top)]
    return [*cells, f"[{sources.index(published.source) + 1}]" if published else ""]


def _published(value: Compared, write: Any) -> str:
    if value.published is None:
        return "–"
    return f"{write(value.published)} ({value.deviation:+.1f} %)"


def _printed(value: float) -> str:
    """A published size without digits that were not printed: 26e6 → ``"26M"``."""
    unit, scale = ("G", 1e9) if value >= 1e9 else ("M", 1e6) if value >= 1e6 else ("K", 1e3)
    return f"{value / scale:.4g}{unit}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_csv(path: Path, found: Iterable[Row]) -> None:
    """One row a network: integers as counted, deviations in per cent, empty where unknown."""
    records = [_record(row) for row in found]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)


def _record(row: Row) -> dict[str, Any]:
    published = row.published
    record: dict[str, Any] = {"network": row.name, "group": row.group}
    for name in ("family", "year", "resolution"):
        record[name] = getattr(published, name, None)
    for name in ("params", "flops", "params_ratio", "flops_ratio"):
        value: Compared | None = getattr(row, name)
        record[name] = value.measured if value else None
        record[f"{name}_published"] = value.published if value else None
        record[f"{name}_deviation_pct"] = value.deviation if value else None
    record["fvcore"] = row.fvcore
    for name in ("top1", "top5", "source", "note"):
        record[name] = getattr(published, name, None)
    return record


def go(args: argparse.Namespace) -> None:
    """Print the table; write it and two pictures where asked."""
    own = run_rows(args.run) if args.run else []
    if args.out:
        check_directory(args.out)  # before the seconds of counting
    found, left_out = rows(args.group)
    print(markdown([*found, *own], left_out), end="")
    if args.out:
        from reports.networks.figures import draw  # matplotlib, pandas: seconds at start-up

        write_csv(args.out / "networks.csv", [*found, *own])
        for picture in draw(args.out, found, own):
            print(picture, file=sys.stderr)

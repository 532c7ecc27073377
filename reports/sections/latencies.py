"""What a report says of the latencies of a network search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from common.units import format_duration
from trials.latencies import reference_alone
from trials.store.view import Record, RunView


def where(settings: dict[str, Any]) -> str:
    """``cpu (AMD EPYC), 1 thread, batch 1``."""
    about = settings["latency"]["measured_on"]
    name = about.get("gpu") or about.get("processor")
    threads = about.get("threads")
    parts = [
        str(about.get("device", "an unnamed device")) + (f" ({name})" if name else ""),
        f"{threads} thread{'s' if threads > 1 else ''}" if threads else "",
        f"batch {about['batch']}" if "batch" in about else "",
    ]
    return ", ".join(part for part in parts if part)


def marks(run: RunView) -> list[tuple[str, float]]:
    """The template, by what it took alone, for a figure."""
    base = reference_alone(run.study, run.settings["template"])
    return [("the space's template", base.low)] if base else []


def account(run: RunView) -> str:
    """How the latencies were come by, how far timings lay apart, how well they were expected."""
    settings, records = run.settings, run.finished()
    base = reference_alone(run.study, settings["template"])
    measured = [*(r.cost for r in records), *(one for r in records for one in _refused(r))]
    refused = sum(len(_refused(record)) for record in records)
    lines = [
        f"Measured on {where(settings)}: of each network the median of 8 to 32 timings, each in "
        "turn with one of the space's template"
        + (f", which took {format_duration(base.low)} alone" if base else "")
        + ". In the table of trials, latencies are in seconds.",
        f"{settings['latency']['sample']} networks were measured before the first training; "
        f"{refused} were refused because they turned out to lie outside the window.",
    ]
    spread = [(one["latency_high"] - one["latency_low"]) / one["cost"] for one in measured]
    lines.append(
        f"The quartiles of a network's timings lie {100 * np.median(spread):.1f} % of its "
        "latency apart (median)."
    )
    missed = [
        abs(one["latency_expected"] / one["cost"] - 1)
        for one in measured
        if one["latency_expected"] is not None
    ]
    if missed:
        half, most = (100 * np.quantile(missed, share) for share in (0.5, 0.9))
        lines.append(
            f"Before it was measured, a network's latency was expected with an error of {half:.1f} "
            f"% (median) and {most:.1f} % (90 % of {len(missed)} networks)."
        )
    return " ".join(lines)


def _refused(record: Record) -> Sequence[dict[str, Any]]:
    found: Sequence[dict[str, Any]] = record.attrs.get("refused", ())
    return found

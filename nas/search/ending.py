"""What a network search says at its end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common.energy import in_words as in_joules
from common.units import format_size
from models.cost import cost
from nas.belief.account import in_words
from nas.costing import cost_text
from nas.objective import Objective
from nas.result import Finalist, SearchResult
from nas.search.against import Against
from nas.search.why import why
from trials.energy import kept


def summary(found: SearchResult, objective: Objective, run_dir: Path, kind: str) -> str:
    """What was found, and where it is."""
    best = found.best
    states = Counter(record.state for record in found.trials)
    stopped = f", {states['stopped']} stopped early" if states["stopped"] else ""
    counts = f"{states['failed']} failed{stopped}"
    paid = f"{kind} {cost_text(kind, best.cost)}, " if kind != "macs" else ""
    lines = [
        f"chosen: {best.spec.name}, trial {best.number} of {len(found.trials)} ({counts})",
        f"  proxy accuracy {best.accuracy:.4f} (validation split{_both(found)}), "
        f"{paid}{format_size(cost(best.spec).macs)} multiply-adds, reward {best.reward:.4f}",
        *_told(found.finals),
        f"  {why(found, objective, kind)}",
        *([f"  {Against.from_dict(found.against).in_words(kind)}"] if found.against else []),
        *([f"  {in_words(found.basis)}"] if found.basis else []),
        *([f"  energy: {in_joules(told)}"] if (told := kept(run_dir)) else []),
        f"baseline: {run_dir / 'baseline.json'}{' and its weights' if found.finals else ''}",
        f"report:   {run_dir / 'report.html'}",
    ]
    return "\n".join(lines)


def as_json(found: SearchResult, objective: Objective, run_dir: Path, kind: str) -> dict[str, Any]:
    """The same for a program."""
    best = found.best
    return {
        **found.answer,
        "name": best.spec.name,
        "spec": json.loads(best.spec.to_json()),
        "accuracy": best.accuracy,
        "cost": {kind: best.cost, **cost(best.spec)._asdict()},
        "reward": best.reward,
        "why": why(found, objective, kind),
        "front": [one.number for one in found.front],
        "trials": len(found.trials),
        "energy": kept(run_dir),
        "run": str(run_dir),
        "report": str(run_dir / "report.html"),
    }


def _told(finals: Sequence[Finalist]) -> Iterator[str]:
    """What the further trainings said."""
    if not finals:
        return
    best, *others = finals
    beside = ", ".join(f"{one.accuracy:.4f}" for one in others)
    yield (
        f"  trained further {best.trainings} times: {best.accuracy:.4f}"
        + (f" (the other {len(others)} finalists: {beside})" if others else "")
    )


def _both(found: SearchResult) -> str:
    """Either accuracy of the network that was named, where its training told them."""
    made = next(record.evaluation for record in found.trials if record.number == found.best.number)
    told = made.details if made else {}
    if "balanced_accuracy" not in told:
        return ""
    return f"; plain {told['plain_accuracy']:.4f}, balanced {told['balanced_accuracy']:.4f}"

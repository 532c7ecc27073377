"""The table of networks that were scored from inherited weights, and trained from several origins.

Of each network a mapping: its ``spec`` as JSON, the trainings of ``TRAINED`` by these names, and
the trainings in full as ``full 0``, ``full 1`` … or, of another origin, ``scratch 0`` …; a training
is what ``benchmarks.support.shares.Clock`` tells, with its ``distance`` where it inherited.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from benchmarks.support.rankings import ALIKE, Floats, Truth
from benchmarks.support.shares import unit
from models.capacity import capacity
from models.cost import cost
from models.spec import ArchSpec
from nas.calibrate import FEWEST, agreement

SIGNALS = {"loss": -1, "accuracy": 1, "probability": 1}
TRAINED = {
    "scratch": "from scratch, short training",
    "score": "inherited, no training",
    "short": "inherited, short training",
}
FULL, SCRATCH = "full", "scratch"

Rows = Sequence[Mapping[str, Any]]


def table(rows: Rows, others: Sequence[str] = ()) -> str:
    """Markdown: τ with the truth's loss and with its accuracy, then with the truths of others.

    Raises ValueError for too few networks.
    """
    check(rows)
    origins = (FULL, *others)
    macs = np.array([float(cost(spec).macs) for spec in _specs(rows)])
    near = _nearness(rows, "score")
    truth, accuracy = (Truth(_mean(rows, FULL, name), near, macs) for name in ("loss", "accuracy"))
    told = [one for row in rows for key, one in row.items() if key != "spec"]
    lines = [
        "| score | τ with the truth's loss (90 %) | nearness held fixed | at equal FLOPs "
        f"(within {ALIKE:.0%}) | τ with the truth's accuracy (90 %) | {unit(told)} |",
        "|---|---|---|---|---|---|",
    ]
    for name, (values, seconds) in scores(rows, near, macs).items():
        with_accuracy = accuracy.cells(values).split(" | ")[0]
        lines.append(f"| {name} | {truth.cells(values)} | {with_accuracy} | {seconds:.1f} |")
    for one, other in (pair for origin in origins for pair in combinations(_of(rows, origin), 2)):
        took = statistics.mean(row[one]["seconds"] for row in rows)
        for name in SIGNALS:
            pair = (_signal(rows, key, name).tolist() for key in (one, other))
            lines.append(f"| {one} with {other}: {name} | {agreement(*pair)} | | | | {took:.1f} |")
    for origin in others:
        lines += _of_other_origin(rows, origin, near, macs)
    lines += _with_each_other(rows, origins) if others else []
    spread = 100 * accuracy.values
    lines.append(
        f"\n{len(rows)} networks; in full {spread.min():.1f} to {spread.max():.1f} %, "
        f"standard deviation {spread.std(ddof=1):.2f} points"
    )
    return "\n".join(lines)


def check(rows: Rows) -> None:
    """Raise ValueError where there are too few networks to rank."""
    if len(rows) < FEWEST:
        raise ValueError(f"{len(rows)} networks are finished: a table needs at least {FEWEST}")


def scores(rows: Rows, near: Floats, macs: Floats) -> dict[str, tuple[Floats, float]]:
    """By name, what each score says, (N,), more is better, and its seconds a network."""
    specs = _specs(rows)
    found = {
        f"{what}: {name}": (
            _signal(rows, key, name),
            statistics.mean(row[key]["seconds"] for row in rows),
        )
        for key, what in TRAINED.items()
        for name in SIGNALS
    }
    return found | {
        "nearness to the parent": (near, 0.0),
        "FLOPs": (macs, 0.0),
        "parameters": (np.array([float(cost(spec).params) for spec in specs]), 0.0),
        "capacity": (np.array([capacity(spec) for spec in specs]), 0.0),
    }


def _of_other_origin(rows: Rows, origin: str, near: Floats, macs: Floats) -> list[str]:
    """A part of its own: the scores' τ with that truth's loss, and how well it is reached."""
    truth = Truth(_mean(rows, origin, "loss"), near, macs)
    reached = 100 * _mean(rows, origin, "accuracy")
    lines = [
        f"\nTruth of other origin, {origin}: {reached.min():.1f} to {reached.max():.1f} %, "
        f"standard deviation {reached.std(ddof=1):.2f} points\n",
        f"| score | τ with the loss from {origin} (90 %) | nearness to the parent held fixed | "
        "at equal FLOPs |",
        "|---|---|---|---|",
    ]
    given = {name: values for name, (values, _) in scores(rows, near, macs).items()}
    if origin != SCRATCH:
        given[f"nearness to {origin}"] = _nearness(rows, _of(rows, origin)[0])
    return lines + [f"| {name} | {truth.cells(values)} |" for name, values in given.items()]


def _with_each_other(rows: Rows, origins: Sequence[str]) -> list[str]:
    """A part of its own: τ of the truths, each the mean of its trainings, with each other."""
    lines = ["\n| truths | τ of the losses (90 %) | τ of the accuracies (90 %) |", "|---|---|---|"]
    for one, other in combinations(origins, 2):
        both = [
            agreement(*(_mean(rows, origin, name).tolist() for origin in (one, other)))
            for name in ("loss", "accuracy")
        ]
        lines.append(f"| {one} with {other} | {both[0]} | {both[1]} |")
    return lines


def _of(rows: Rows, origin: str) -> list[str]:
    """The names of the full trainings of that origin, which all networks have."""
    own = [name for name in rows[0] if name.startswith(f"{origin} ")]
    return [name for name in own if all(name in row for row in rows)]


def _specs(rows: Rows) -> list[ArchSpec]:
    return [ArchSpec.from_json(row["spec"]) for row in rows]


def _signal(rows: Rows, key: str, name: str) -> Floats:
    """One of ``SIGNALS`` of a training, (N,), more is better."""
    return np.array([SIGNALS[name] * row[key][name] for row in rows])


def _mean(rows: Rows, origin: str, name: str) -> Floats:
    """The same of the truth of that origin."""
    mean: Floats = np.mean([_signal(rows, key, name) for key in _of(rows, origin)], axis=0)
    return mean


def _nearness(rows: Rows, key: str) -> Floats:
    return np.array([-row[key]["distance"] for row in rows])

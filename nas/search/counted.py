"""What a search counts as cost, and what it limits beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from models.spec import ArchSpec
from nas.costing import LATENCY, Costing, Limited, OfSpec, costing
from nas.costing.latency import Latency
from nas.objective import Objective
from nas.space import Space
from trials.store.run import Run

CostOf = str | Callable[[ArchSpec], float] | Latency


def cost_facts(cost: CostOf, limits: Sequence[tuple[CostOf, float]]) -> dict[str, Any]:
    """What a run records of them."""
    kinds = (cost, *(kind for kind, _ in limits))
    timed = [kind.facts for kind in kinds if isinstance(kind, Latency)]
    return {"cost": _name(cost), "latency": timed[0] if timed else None}


def _name(cost: CostOf) -> str:
    if isinstance(cost, str):
        return cost
    return LATENCY if isinstance(cost, Latency) else getattr(cost, "__name__", "function")


def named(cost: CostOf, limits: Sequence[tuple[CostOf, float]]) -> dict[str, float]:
    """The limits as the objective has them. Raises ValueError where a kind is bounded twice."""
    names = [_name(cost), *(_name(kind) for kind, _ in limits)]
    if twice := [name for name in names[1:] if names.count(name) > 1]:
        raise ValueError(
            f"{twice[0]} is bounded twice: the budget's window bounds {names[0]}, and each other "
            "kind of cost has one limit"
        )
    return {name: most for name, (_, most) in zip(names[1:], limits, strict=True)}


def counted(
    cost: CostOf,
    limits: Sequence[tuple[CostOf, float]],
    space: Space,
    objective: Objective,
    run: Run,
) -> Costing:
    """The cost and what is limited beside it, measured as far as they must be before a search."""
    own = _costing(cost, space, objective, run, "cost")
    others = [
        _costing(kind, space, Objective(most, low=0.0), run, _name(kind)) for kind, most in limits
    ]
    return Limited(own, others) if others else own


def _costing(cost: CostOf, space: Space, objective: Objective, run: Run, known: str) -> Costing:
    """``known`` is what a trial's record calls it."""
    if isinstance(cost, Latency):
        return _latencies(cost, space, objective, run)
    made = costing(space, cost)
    if isinstance(made, OfSpec):
        _check_cost(made, run, known)
    return made


def _latencies(how: Latency, space: Space, objective: Objective, run: Run) -> Costing:
    if run.shared:  # several drivers would measure the sample at once, and disturb each other
        replace(how, measure=None).costing(space, objective, run.study, run.seed)
    return how.costing(space, objective, run.study, run.seed)


def _check_cost(cost: OfSpec, run: Run, known: str) -> None:
    """A function is known by its name alone, and two may share one: compare what it says."""
    for record in run.finished()[:1]:
        now, before = cost.of(record.spec), float(record.cost[known])
        if not math.isclose(now, before, rel_tol=1e-6, abs_tol=1e-12):
            raise ValueError(
                f"cost {cost.name} says {now:g} of {record.spec.name}, of which the run has "
                f"{before:g}: give the function that the search was begun with"
            )

"""What a search counts as cost: of many candidates at once, and of the one to be trained.

A field of ``models.cost.Cost`` is known of every candidate in closed form. A measured cost
(``nas.costing.latency``) is an estimate until a candidate is about to be proposed; then it is
settled. Whatever the objective counts, any other kind may be limited beside it (``Limited``).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.units import format_duration, format_size, parse_budget, parse_duration
from models.spec import ArchSpec
from nas.space import Batch, Space

COSTS = ("macs", "params", "activations")
LATENCY = "latency"
Floats = NDArray[np.float64]


def read_cost(kind: str, text: str) -> float:
    """A budget of that kind: ``"12ms"`` where it is latency, else a size such as ``"400M"``.

    Raises ValueError for anything else, with the remedy where one of the two is taken for the
    other.
    """
    if kind == LATENCY:
        return parse_duration(text)
    try:
        return parse_budget(text)
    except ValueError as error:
        if "is a time" not in str(error):
            raise
        raise ValueError(f"{error}: for a budget of time add --cost latency") from None


def cost_text(kind: str, value: float) -> str:
    """A cost of that kind as people read it: 0.012 → ``"12.0 ms"``, 4e8 → ``"400M"``."""
    return format_duration(value) if kind == LATENCY else format_size(value)


# What a study says of a kind of cost, by its name, "cost" being the objective's own: candidates
# (N, D) and their costs (N,)
Settled = Callable[..., tuple[Batch, Floats]]


def limits_text(limits: Mapping[str, float] | None) -> str:
    """``"5.00M params, 12.0 ms latency"``; empty without any."""
    return ", ".join(f"{cost_text(kind, most)} {kind}" for kind, most in (limits or {}).items())


class Costing(ABC):
    """A kind of cost over a space; ``name`` is what a run records of it, ``slow`` whether each
    candidate is asked for by itself."""

    slow = False

    def __init__(self, space: Space, name: str) -> None:
        self.space, self.name = space, name

    @abstractmethod
    def costs(self, rows: Batch) -> Floats:
        """Of candidates (N, D), (N,): exact, or the best estimate so far."""

    def limited(self, rows: Batch) -> Floats:
        """What candidates (N, D) cost of each other kind that is limited, (N, kinds)."""
        return np.empty((len(rows), 0))

    def settle(self, row: Batch) -> float:
        """What the candidate (D,) costs, by the best means there is; ``costs`` and ``limited`` then
        say the same."""
        return float(self.costs(row[None])[0])

    def learn(self, settled: Settled) -> None:  # noqa: B027  (a closed form knows all)
        """Take in a study's candidates (N, D) whose costs (N,) are settled, in place of those that
        were taken in or settled before."""

    def details(self, row: Batch) -> dict[str, Any]:
        """What the trial of a settled candidate records beside its cost, JSON."""
        return {}

    def text(self, value: float) -> str:
        """A cost as people read it, with its unit."""
        return f"{cost_text(self.name, value)} {self.name}"


class ClosedForm(Costing):
    """A field of ``models.cost.Cost``. Raises ValueError for an unknown one."""

    def __init__(self, space: Space, name: str) -> None:
        if name not in COSTS:
            raise ValueError(
                f"cost {name!r:.60} is unknown: choose one of {', '.join(COSTS)}, or give a "
                "function of the spec, or a nas.costing.latency.Latency"
            )
        super().__init__(space, name)

    def costs(self, rows: Batch) -> Floats:
        found: Floats = getattr(self.space.costs(rows), self.name).astype(float)
        return found


class OfSpec(Costing):
    """A function of the spec, which is asked one network at a time."""

    slow = True

    def __init__(self, space: Space, function: Callable[[ArchSpec], float]) -> None:
        super().__init__(space, getattr(function, "__name__", "function"))
        self._function = function

    def costs(self, rows: Batch) -> Floats:
        return np.array([self.of(self.space.spec_of(row)) for row in rows], dtype=float)

    def of(self, spec: ArchSpec) -> float:
        """What the function says of one network.

        Raises ValueError where that is no number of at least 0: nothing could be compared with it.
        """
        found = float(self._function(spec))
        if not 0 <= found < math.inf:
            raise ValueError(
                f"cost {self.name} of {spec.name} is {found}: it must be a finite number of at "
                "least 0 for every network of the space"
            )
        return found


class Limited(Costing):
    """A kind of cost, and ``others`` that are limited beside it, in the objective's order."""

    def __init__(self, own: Costing, others: Sequence[Costing]) -> None:
        super().__init__(own.space, own.name)
        self._own, self._others = own, tuple(others)
        self.slow = any(one.slow for one in (own, *others))

    def costs(self, rows: Batch) -> Floats:
        return self._own.costs(rows)

    def limited(self, rows: Batch) -> Floats:
        return np.stack([one.costs(rows) for one in self._others], 1)

    def settle(self, row: Batch) -> float:
        for one in self._others:
            one.settle(row)
        return self._own.settle(row)

    def learn(self, settled: Settled) -> None:
        self._own.learn(settled)
        for one in self._others:
            one.learn(partial(settled, one.name))

    def details(self, row: Batch) -> dict[str, Any]:
        """What each of them records; what only a function knows, by its name."""
        found: dict[str, Any] = {}
        for one in (self._own, *self._others):
            found |= one.details(row)
        known = {one.name: float(one.costs(row[None])[0]) for one in self._others if one.slow}
        return known | found


def costing(
    space: Space, cost: str | Callable[[ArchSpec], float] | Costing, limits: Iterable[str] = ()
) -> Costing:
    """A kind of cost as what it is counted by, with ``limits`` of other kinds that are known in
    closed form. A ``Costing`` is taken to know its limits.

    Raises ValueError for an unknown kind.
    """
    if isinstance(cost, Costing):
        return cost
    own = OfSpec(space, cost) if callable(cost) else ClosedForm(space, cost)
    others = [ClosedForm(space, name) for name in limits]
    return Limited(own, others) if others else own

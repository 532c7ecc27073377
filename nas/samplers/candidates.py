"""Which networks of a space may be proposed, and what they cost."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.plan import Plan, plan
from models.spec import ArchSpec
from nas.objective import Objective
from nas.space import Batch, Space

COSTS = ("macs", "params", "activations")
CostOf = str | Callable[[ArchSpec], float]
Floats = NDArray[np.float64]

_BEAM = 32  # candidates whose neighbours are costed together
_EXPANSIONS = 60  # of beams: tens of thousands of networks costed before a walk gives up


class SpaceExhausted(ValueError):
    """Every admissible network that can be found was proposed already."""


class Candidates:
    """A space seen through an objective's window.

    cost    a field of ``models.cost.Cost``, or a function of the spec. A function may answer
            differently from one trial to the next (a latency model that learns), but for a
            network that was trained it should say what the study was told.

    Raises ValueError for an unknown cost, or where the space has no network in the window.
    """

    def __init__(self, space: Space, objective: Objective, cost: CostOf = "macs") -> None:
        if not callable(cost) and cost not in COSTS:
            raise ValueError(
                f"cost {cost!r:.60} is unknown: choose one of {', '.join(COSTS)}, or give a "
                "function of the spec"
            )
        self.space, self.objective, self.cost = space, objective, cost
        self._plans: dict[bytes, Plan] = {}
        self._check_window()

    def costs(self, rows: Batch) -> Floats:
        """What the objective counts, (N,)."""
        if callable(self.cost):
            return np.array([float(self.cost(self.space.spec_of(row))) for row in rows])
        found: Floats = getattr(self.space.costs(rows), self.cost).astype(float)
        return found

    def admits(self, rows: Batch) -> NDArray[np.bool_]:
        """Whether each may be trained, (N,)."""
        return np.asarray(self.objective.admits(self.costs(rows)))

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Up to ``count`` admissible candidates drawn uniformly; fewer in a narrow window."""
        rows = self.space.random(4 * count, rng)
        return rows[self.admits(rows)][:count]

    def plan(self, row: Batch) -> Plan:
        """What tells two networks apart; two rows may have the same."""
        key = row.tobytes()
        if key not in self._plans:
            self._plans[key] = plan(self.space.spec_of(row))
        return self._plans[key]

    def nearest(self, row: Batch, taken: Taken) -> Batch:
        """The first admissible and new candidate that a walk from ``row`` meets.

        Best first: single choices are changed, the networks nearest to the window leading. A
        small space is walked through completely. Raises SpaceExhausted where none is found.
        """
        for near in self._walk(row):
            for i in np.flatnonzero(self.admits(near)):
                found: Batch = near[i]
                if found not in taken:
                    return found
        raise SpaceExhausted(
            f"no network of space {self.space.name} from {self._window()} is left to propose: "
            "widen the window, or enlarge the space's menus"
        )

    def _walk(self, row: Batch) -> Iterator[Batch]:
        """Batches of candidates, each once, around ``row``; the nearest to the window first."""
        seen = {row.tobytes()}
        heap: list[tuple[float, int, Batch]] = []
        batch = row[None]
        for _ in range(_EXPANSIONS):
            yield batch
            for distance, candidate in zip(self._distance(batch), batch, strict=True):
                heapq.heappush(heap, (float(distance), len(seen) + len(heap), candidate))
            batch = self._unseen(heap, seen)
            if not len(batch):
                return

    def _unseen(self, heap: list[Any], seen: set[bytes]) -> Batch:
        """Neighbours, not seen before, of the best of ``heap``; which are taken off it."""
        fresh: list[Batch] = []
        while heap and not fresh:
            for _ in range(min(_BEAM, len(heap))):
                for near in self.space.neighbours(heapq.heappop(heap)[-1]):
                    if (key := near.tobytes()) not in seen:
                        seen.add(key)
                        fresh.append(near)
        return np.array(fresh, dtype=np.int64).reshape(len(fresh), len(self.space.sizes))

    def _distance(self, rows: Batch) -> Floats:
        """How far outside the window, as a ratio's logarithm; 0 inside."""
        low, high = self._bounds()
        costs = np.maximum(self.costs(rows), 1e-300)
        return np.maximum(0, np.maximum(np.log(costs / high), np.log(max(low, 1e-300) / costs)))

    def _bounds(self) -> tuple[float, float]:
        aim = self.objective
        return aim.low * aim.budget, aim.high * aim.budget

    def _window(self) -> str:
        low, high = self._bounds()
        name = "of the given cost" if callable(self.cost) else self.cost
        return f"{low:.4g} to {high:.4g} {name}"

    def _check_window(self) -> None:
        rows = self.space.random(256, np.random.default_rng(0))
        if self.admits(rows).any():
            return
        start = rows[np.argmin(self._distance(rows))]
        try:
            self.nearest(start, Taken(self, rows[:0]))
        except SpaceExhausted:
            low, high = (self._extreme(start, sign) for sign in (1, -1))
            raise ValueError(
                f"space {self.space.name} has no network of {self._window()}: its networks cost "
                f"from {low:.4g} to {high:.4g}; change the budget or the window"
            ) from None

    def _extreme(self, row: Batch, sign: int) -> float:
        """The least cost (1) or the greatest (-1) that descent over single choices reaches."""
        cost = float(self.costs(row[None])[0])
        while True:
            near = self.space.neighbours(row)
            costs = self.costs(near)
            best = int(np.argmin(sign * costs))
            if sign * costs[best] >= sign * cost:
                return cost
            row, cost = near[best], float(costs[best])


class Taken:
    """The networks that a study has proposed; ``row in taken`` compares networks, not choices."""

    def __init__(self, candidates: Candidates, rows: Batch) -> None:
        self._candidates = candidates
        self._rows = {row.tobytes() for row in rows}
        # Equal plans have equal costs: only networks of the same cost need be compared.
        self._by_cost: dict[tuple[int, ...], list[Batch]] = {}
        for row, key in zip(rows, self._keys(rows), strict=True):
            self._by_cost.setdefault(key, []).append(row)

    def __contains__(self, row: object) -> bool:
        if not isinstance(row, np.ndarray):
            return False
        if row.tobytes() in self._rows:
            return True
        same = self._by_cost.get(self._keys(row[None])[0], [])
        plan_of = self._candidates.plan
        return bool(same) and any(plan_of(other) == plan_of(row) for other in same)

    def _keys(self, rows: Batch) -> list[tuple[int, ...]]:
        if not len(rows):
            return []
        return [tuple(one) for one in np.stack(self._candidates.space.costs(rows), 1).tolist()]

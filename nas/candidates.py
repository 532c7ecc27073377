"""Which networks of a space may be proposed, and what they cost."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.plan import Plan, plan
from models.spec import ArchSpec
from nas.costing import Costing, Settled, costing, limits_text
from nas.costing import Floats as Floats  # for all of nas.samplers
from nas.objective import Objective
from nas.space import Batch, Space

CostOf = str | Callable[[ArchSpec], float] | Costing

_BEAM = 32  # candidates whose neighbours are costed together
_EXPANSIONS = 60  # of beams: tens of thousands of networks costed before a walk gives up
_NEAR = 0.5  # descent over single choices is taken to miss the extreme costs by less than this
_CLIMBERS = 8  # candidates that a search for the greatest one climbs from
_SAMPLED = 4000  # candidates from which the greatest one is looked for
_REFUSALS = 24  # candidates that a proposal may settle in vain


class SpaceExhausted(ValueError):
    """Every admissible network that can be found was proposed already."""


class Candidates:
    """A space seen through an objective's window and limits.

    cost    a field of ``models.cost.Cost``, a function of the spec (slow: it is asked thousands of
            times), or a ``nas.costing.Costing``, which then knows the objective's limits too

    ``refused`` holds the candidates that were settled since the last ``learn`` and turned out to
    lie outside: "row", "cost" and the costing's details of each.

    Raises ValueError for an unknown cost, or where the space has no network in the window, or no
    choice at all.
    """

    def __init__(self, space: Space, objective: Objective, cost: CostOf = "macs") -> None:
        self.space, self.objective = space, objective
        self.costing = costing(space, cost, objective.limits or ())
        self.refused: list[dict[str, Any]] = []
        self._plans: dict[bytes, Plan] = {}
        self._totals: dict[bytes, tuple[int, ...]] = {}
        self._check_window()

    def costs(self, rows: Batch) -> Floats:
        """What the objective counts, (N,); of a cost that is measured, what is expected."""
        return self.costing.costs(rows)

    def admits(self, rows: Batch, costs: Floats | None = None) -> NDArray[np.bool_]:
        """Whether each may be trained, (N,), as far as is known; ``costs`` as ``costs(rows)``."""
        costs = self.costs(rows) if costs is None else costs
        return np.asarray(self.objective.admits(costs, self.costing.limited(rows)))

    def outside(self, rows: Batch) -> Floats:
        """How far from what may be trained, (N,), as ``Objective.outside``."""
        return self.objective.outside(self.costs(rows), self.costing.limited(rows))

    def learn(self, settled: Settled) -> None:
        """Begin a proposal with the candidates whose costs are settled."""
        self.costing.learn(settled)
        self.refused = []

    def confirms(self, row: Batch) -> bool:
        """Whether the candidate (D,) may be trained, once its cost is settled.

        Raises SpaceExhausted where too many in a row were refused: what is measured then varies by
        more than the window is wide.
        """
        if not self.admits(row[None])[0]:
            return False
        cost = self.costing.settle(row)
        if self.objective.admits(cost, self.costing.limited(row[None])[0]):
            return True
        details = self.costing.details(row)
        self.refused.append({"row": row.tolist(), "cost": cost, **details})
        if len(self.refused) == _REFUSALS:
            raise SpaceExhausted(
                f"{_REFUSALS} networks that were expected from {self._window()} turned out to lie "
                "outside: widen the window"
            )
        return False

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Up to ``count`` admissible candidates drawn uniformly; fewer in a narrow window."""
        rows = self.space.random(4 * count, rng)
        return rows[self.admits(rows)][:count]

    def greatest(self, field: str) -> ArchSpec:
        """The admissible network with about the greatest params or activations: what memory has to
        hold. A beam climbs over single choices, from the best of a sample, while that gains."""
        rows, most = self.draw(_SAMPLED, np.random.default_rng(0)), -1
        if not len(rows):
            start = self.space.random(1, np.random.default_rng(0))[0]
            rows = self.nearest(start, Taken(self, rows))[None]
        while True:
            sizes = getattr(self.space.costs(rows), field)
            beam = rows[np.argsort(-sizes, kind="stable")[:_CLIMBERS]]
            if sizes.max() <= most:
                return self.space.spec_of(beam[0])
            most = int(sizes.max())
            near = np.unique(np.vstack([beam, *map(self.space.neighbours, beam)]), axis=0)
            rows = near[self.admits(near)]

    def plan(self, row: Batch) -> Plan:
        """What tells two networks apart; two rows may have the same."""
        key = row.tobytes()
        if key not in self._plans:
            self._plans[key] = plan(self.space.spec_of(row))
        return self._plans[key]

    def totals(self, rows: Batch) -> list[tuple[int, ...]]:
        """``models.cost.Cost`` of each row; some are asked for again and again."""
        keys = [row.tobytes() for row in rows]
        new = [i for i, key in enumerate(keys) if key not in self._totals]
        if new:
            found = np.stack(self.space.costs(rows[new]), 1).tolist()
            self._totals.update((keys[i], tuple(one)) for i, one in zip(new, found, strict=True))
        return [self._totals[key] for key in keys]

    def nearest(self, row: Batch, taken: Taken, *, confirmed: bool = False) -> Batch:
        """The first admissible and new candidate that a walk from ``row`` meets.

        Best first: single choices are changed, the networks nearest to the window leading. A
        small space is walked through completely. Raises SpaceExhausted where none is found, and
        with ``confirmed`` as ``confirms`` does.
        """
        for near in self._walk(row):
            for i in np.flatnonzero(self.admits(near)):
                found: Batch = near[i]
                if found not in taken and (not confirmed or self.confirms(found)):
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
            away = self.outside(batch)
            for distance, candidate in zip(away, batch, strict=True):
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

    def _bounds(self) -> tuple[float, float]:
        aim = self.objective
        return aim.low * aim.budget, aim.high * aim.budget

    def _window(self) -> str:
        low, high = self._bounds()
        limits = limits_text(self.objective.limits)
        beside = f" with at most {limits}" if limits else ""
        return f"{self.costing.text(low)} to {self.costing.text(high)}{beside}"

    def _check_window(self) -> None:
        if self.space.size == 1:
            raise ValueError(f"space {self.space.name} has a single network: enlarge its menus")
        rows = self.space.random(256, np.random.default_rng(0))
        if self.admits(rows).any():
            return
        start = rows[np.argmin(self.outside(rows))]
        least, most = (self._extreme(start, sign, self.costs) for sign in (1, -1))
        low, high = self._bounds()
        limits = self.objective.limits or {}
        leasts = [
            self._extreme(start, 1, lambda rows, i=i: self.costing.limited(rows)[:, i])  # type: ignore[misc]
            for i in range(len(limits))
        ]
        # A budget in another unit is told at once; near the extremes a walk has the last word.
        reached = all(_NEAR * one <= at for one, at in zip(leasts, limits.values(), strict=True))
        if reached and _NEAR * least <= high and low <= most / _NEAR:
            with suppress(SpaceExhausted):
                self.nearest(start, Taken(self, rows[:0]))
                return
        own = limits_text(dict(zip(limits, leasts, strict=True)))
        own = own and f" and at least {own}"
        raise ValueError(
            f"space {self.space.name} has no network of {self._window()}: its networks cost from "
            f"{self.costing.text(least)} to {self.costing.text(most)}{own}; change the budget or "
            f"the {'window, or the limits' if own else 'window'}"
        )

    def _extreme(self, row: Batch, sign: int, of: Callable[[Batch], Floats]) -> float:
        """The least cost (1) or the greatest (-1) that descent over single choices reaches."""
        cost = float(of(row[None])[0])
        while True:
            near = self.space.neighbours(row)
            costs = of(near)
            best = int(np.argmin(sign * costs))
            if sign * costs[best] >= sign * cost:
                return cost
            row, cost = near[best], float(costs[best])


class Taken:
    """The networks that a study has proposed, and those ``beside`` them; ``row in taken`` compares
    networks, not choices."""

    def __init__(self, candidates: Candidates, rows: Batch, beside: Taken | None = None) -> None:
        self._candidates, self._beside = candidates, beside
        self._rows: set[bytes] = set()
        # Equal plans have equal costs: only networks of the same cost need be compared.
        self._by_cost: dict[tuple[int, ...], list[Batch]] = {}
        self.add(rows)

    def add(self, rows: Batch) -> None:
        """Take in more (N, D)."""
        self._rows.update(row.tobytes() for row in rows)
        for row, key in zip(rows, self._candidates.totals(rows), strict=True):
            self._by_cost.setdefault(key, []).append(row)

    def __contains__(self, row: object) -> bool:
        if not isinstance(row, np.ndarray):
            return False
        if self._beside is not None and row in self._beside:
            return True
        if row.tobytes() in self._rows:
            return True
        same = self._by_cost.get(self._candidates.totals(row[None])[0], [])
        plan_of = self._candidates.plan
        return bool(same) and any(plan_of(other) == plan_of(row) for other in same)

"""The front that a belief expects over the window: what accuracy each cost can buy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nas.belief.belief import Belief
from nas.candidates import Candidates, Floats, Taken
from nas.space import Batch

POINTS = 12  # limits of cost, evenly over the window
DRAWN = 1000  # random networks that the climb starts from, the trained ones beside them
ROUNDS = 12
BAND = 1.6449  # standard deviations to either side that hold 90 % of a normal distribution


class Expected(NamedTuple):
    """A network of the expected front: its cost, its accuracy as believed, and within which bounds
    that lies with a probability of 90 %; all accuracies in [0, 1], without a training's noise."""

    cost: float
    accuracy: float
    low: float
    high: float


def expected_front(belief: Belief, candidates: Candidates, trained: Batch) -> list[Expected]:
    """Under each of ``POINTS`` limits of cost the network of which most is expected, those that are
    the same or no better than a cheaper one left out; by rising cost.

    They need not have been trained. From random networks and the ``trained`` ones (N, D) a search
    climbs over single choices until no limit's network changes; of a cost that is slow to ask for,
    only the trained networks count.
    """
    rows = trained[candidates.admits(trained)]
    if not candidates.costing.slow:
        rows = _started(candidates, rows)
    if not len(rows):
        return []
    limits = _limits(candidates.costs(rows))
    if not candidates.costing.slow:
        rows = _climbed(belief, candidates, rows, limits)
    costs = candidates.costs(rows)
    mean, sd = belief.predict(rows)
    bounds = np.clip(np.array([mean, mean - BAND * sd, mean + BAND * sd]), 0, 1)
    kept = _leading(mean, costs, limits)
    return [Expected(*map(float, (costs[i], *bounds[:, i]))) for i in kept]


def _started(candidates: Candidates, trained: Batch) -> Batch:
    """Those trained and random ones beside them."""
    rng = np.random.default_rng(0)
    rows = np.unique(np.vstack([trained, candidates.draw(DRAWN, rng)]), axis=0)
    if not len(rows):  # a narrow window
        start = candidates.space.random(1, rng)[0]
        rows = candidates.nearest(start, Taken(candidates, rows))[None]
    return rows


def _limits(costs: Floats) -> Floats:
    limits = np.linspace(costs.min(), costs.max(), POINTS)
    limits[-1] = np.inf  # the window's own
    return limits


def _climbed(belief: Belief, candidates: Candidates, rows: Batch, limits: Floats) -> Batch:
    """The networks that lead under the limits, once their neighbours lead nowhere."""
    seen: set[bytes] = set()
    for _ in range(ROUNDS):
        rows = rows[_leading(belief.mean(rows), candidates.costs(rows), limits)]
        fresh = [row for row in rows if row.tobytes() not in seen]
        if not fresh:
            break
        seen.update(row.tobytes() for row in fresh)
        near = np.vstack([candidates.space.neighbours(row) for row in fresh])
        rows = np.unique(np.vstack([rows, near[candidates.admits(near)]]), axis=0)
    return rows


def _leading(accuracy: Floats, costs: Floats, limits: Floats) -> list[int]:
    """Positions of the best under each limit, each once, by rising cost: all on the front."""
    order = np.lexsort((-accuracy, costs))
    best = [
        int(order[np.argmax(np.where(costs[order] <= limit, accuracy[order], -np.inf))])
        for limit in limits
        if costs.min() <= limit
    ]
    return list(dict.fromkeys(best))

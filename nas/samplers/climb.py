"""The search for the next candidate: random networks, then the neighbours of the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nas.candidates import Candidates, Floats, Taken
from nas.space import Batch

Score = Callable[[Batch, Floats], Floats]  # rows (N, D) and their costs (N,) → (N,)

CLIMBERS = 16  # of the best, whose neighbours are looked at
REACH = 3  # choices of a region's centre that a candidate may have otherwise
_DRAWN = 2000  # random candidates that a search for the next one starts from
_ROUNDS = 10
_CENTRES = 4  # of the best that were trained


def climbed(
    candidates: Candidates,
    score: Score,
    starts: Batch,
    rng: np.random.Generator,
    near: Batch | None = None,
) -> Iterator[Batch]:
    """Admissible candidates by falling score: random ones, then the neighbours of the best until
    those no longer change.

    ``starts`` (N, D) are networks to begin with beside the random ones, the best first. With
    ``near`` (N, D) only what is drawn within ``REACH`` choices of these and of the first starts is
    looked at: a trust region.
    """
    space, slow = candidates.space, candidates.costing.slow
    batch = _drawn(candidates, starts[: 2 if slow else CLIMBERS], rng, near)
    rows, scores = batch[:0], np.empty(0)
    done: set[bytes] = set()
    for _ in range(_ROUNDS):
        batch = np.unique(batch, axis=0)
        costs = candidates.costs(batch)
        inside = candidates.admits(batch, costs)
        if inside.any():
            rows = np.vstack([rows, batch[inside]])
            scores = np.append(scores, score(batch[inside], costs[inside]))
        elif not len(rows):  # a narrow window: walk to it, and climb from there
            batch = candidates.nearest(batch[0], Taken(candidates, rows))[None]
            continue
        if near is not None:
            break
        best = np.argsort(-scores, kind="stable")[: 2 if slow else CLIMBERS]
        fresh = [row for row in rows[best] if row.tobytes() not in done]
        if not fresh:
            break
        done.update(row.tobytes() for row in fresh)
        batch = np.vstack([space.neighbours(row) for row in fresh])
        if not slow:  # one more against one less: at the window's edge no single change gains
            batch = np.vstack([batch, space.mutated(batch, rng)])
    yield from rows[np.argsort(-scores, kind="stable")]


def _drawn(
    candidates: Candidates, starts: Batch, rng: np.random.Generator, near: Batch | None
) -> Batch:
    """What a climb begins with."""
    space, count = candidates.space, _DRAWN // (10 if candidates.costing.slow else 1)
    if near is None:
        return np.vstack([space.random(count, rng), *map(space.neighbours, starts)])
    centres = np.vstack([near, starts[:_CENTRES]])
    rows = centres[rng.integers(len(centres), size=count)]
    steps = rng.integers(1, REACH + 1, size=count)
    for step in range(REACH):
        rows = np.where((steps > step)[:, None], space.mutated(rows, rng), rows)
    return rows

"""The Pareto front of accuracy (more is better) against cost (less is better)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def front(accuracy: ArrayLike, cost: ArrayLike) -> list[int]:
    """Positions of the points that no other dominates, by rising cost.

    A point dominates another that costs no less and is no more accurate, the same in both apart;
    of equal points the first is kept.
    """
    accuracies, costs = np.asarray(accuracy, dtype=float), np.asarray(cost, dtype=float)
    order = np.lexsort((np.arange(len(costs)), -accuracies, costs))
    best = np.maximum.accumulate(np.append(-np.inf, accuracies[order]))
    return [int(i) for i in order[accuracies[order] > best[:-1]]]


def hypervolume(accuracy: ArrayLike, cost: ArrayLike, worst: tuple[float, float]) -> float:
    """Area that the points dominate within ``worst`` = (least accuracy, greatest cost)."""
    accuracies, costs = np.asarray(accuracy, dtype=float), np.asarray(cost, dtype=float)
    inside = (accuracies > worst[0]) & (costs < worst[1])
    accuracies, costs = accuracies[inside], costs[inside]
    kept = front(accuracies, costs)
    steps = np.diff([*costs[kept], worst[1]])
    return float(((accuracies[kept] - worst[0]) * steps).sum())

"""What a finished search says under another budget, exponent or aim, without training."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nas.objective import Objective
from nas.pareto import front


def rerank(accuracy: ArrayLike, cost: ArrayLike, objective: Objective) -> list[int]:
    """Positions of the trained networks that ``objective`` admits, by falling reward.

    ``accuracy`` and ``cost`` are (N,), of finished trials only. For the aim ``front``: the front
    of the admitted ones, by rising cost. Another budget changes the order through the window
    alone (and through ``hard`` or ``over``, which bend at it).

    Raises ValueError where the lengths differ or no network is admitted.
    """
    accuracies, costs = np.asarray(accuracy, dtype=float), np.asarray(cost, dtype=float)
    if accuracies.shape != costs.shape or accuracies.ndim != 1:
        raise ValueError(f"{accuracies.shape} accuracies and {costs.shape} costs: give one each")
    inside = np.flatnonzero(objective.admits(costs))
    if not len(inside):
        low, high = objective.low * objective.budget, objective.high * objective.budget
        found = (
            f"they cost {costs.min():.4g} to {costs.max():.4g}" if len(costs) else "there is none"
        )
        raise ValueError(
            f"no trained network costs {low:.4g} to {high:.4g} ({found}): widen the window"
        )
    if objective.aim == "front":
        return [int(inside[i]) for i in front(accuracies[inside], costs[inside])]
    rewards = objective.reward(accuracies[inside], costs[inside])
    return [int(i) for i in inside[np.argsort(-rewards, kind="stable")]]

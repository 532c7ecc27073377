"""How much a training is expected to add, in closed form: accuracy is uncertain, cost is not."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from nas.candidates import Floats
from nas.pareto import front


def expected_improvement(mean: Floats, sd: Floats, best: Floats | float) -> Floats:
    """E[max(0, x - best)] of x ~ N(mean, sd²), elementwise (Jones et al. 1998)."""
    gain = mean - best
    z = gain / sd
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    found: Floats = gain * ndtr(z) + sd * density
    return np.maximum(found, 0)


def expected_hypervolume_improvement(
    mean: Floats, sd: Floats, cost: Floats, known: tuple[Floats, Floats], worst: tuple[float, float]
) -> Floats:
    """What each candidate (N,) is expected to add to the area that ``known`` dominates.

    ``known`` are accuracies and costs (M,), ``worst`` = (least accuracy, greatest cost). As costs
    are exact, the area gained is the sum, over the steps of the front that the candidate is no
    dearer than, of the step's width times the expected improvement over its height.
    """
    inside = (known[0] > worst[0]) & (known[1] < worst[1])
    accuracy, costs = known[0][inside], known[1][inside]
    kept = front(accuracy, costs)
    heights = np.append(worst[0], accuracy[kept])
    edges = np.concatenate([[-np.inf], costs[kept], [worst[1]]])
    widths = edges[1:] - np.maximum(edges[:-1], cost[:, None])
    gains = expected_improvement(mean[:, None], sd[:, None], heights)
    found: Floats = (np.maximum(widths, 0) * gains).sum(1)
    return found

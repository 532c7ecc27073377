"""Which choices make networks of the window differ, as a search believes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.belief.account import FEWEST, INTERVAL, drawn
from nas.belief.belief import Belief
from nas.belief.features import kinds
from nas.belief.knowledge import Knowledge
from nas.candidates import Floats
from nas.space import Batch, Space

HALVES = 10  # of the trainings
NETWORKS = 500  # random ones of the window
Places = NDArray[np.int64]


def importance(
    fit: Callable[[Places], Belief], trainings: int, see: Knowledge, space: Space
) -> dict[str, Any] | None:
    """JSON: what shares of the differences in accuracy between random networks of the window the
    choices explain, median and 90 % interval; None for fewer than ``FEWEST`` trainings.

    kinds    by kind of choice, of all stages together
    choices  {"name", "kind", "share"} of each, in the space's order

    ``fit`` gives the belief by some of the trainings, by their places. A share is the adjusted R²
    of a least-squares fit of accuracy by the values of those choices alone, as categories: a main
    effect, of one choice that of an analysis of variance. The budget ties choices together (what
    is spent on one is missing from another), so that shares need not sum to 1. Intervals are of
    what is held possible after random halves of the trainings, whose differences are those of
    samples as large as all of them (half-sampling: Shao and Tu 1995, The Jackknife and Bootstrap,
    section 5.2): what all of them hold possible alone held fewer true shares than it said
    (docs/belief.md).
    """
    if trainings < FEWEST:
        return None
    rows, rng = see.reference[:NETWORKS], np.random.default_rng(0)
    views = see.expected(rows)
    halves = (np.sort(rng.permutation(trainings)[: trainings // 2]) for _ in range(HALVES))
    found = np.vstack([drawn(fit(half), views)[::HALVES] for half in halves])
    by_kind: dict[str, list[int]] = {}
    for d, (kind, _, _) in enumerate(kinds(space)):
        by_kind.setdefault(kind, []).append(d)
    each = {d: kind for kind, own in by_kind.items() for d in own}
    return {
        "kinds": {kind: _interval(found, rows, own) for kind, own in by_kind.items()},
        "choices": [
            {"name": name, "kind": each[d], "share": _interval(found, rows, [d])}
            for d, name in enumerate(space.names)
        ],
    }


def _interval(accuracies: Floats, rows: Batch, columns: Sequence[int]) -> list[float]:
    found: list[float] = np.quantile(shares(accuracies, rows, columns), INTERVAL).tolist()
    return found


def shares(accuracies: Floats, rows: Batch, columns: Sequence[int]) -> Floats:
    """(M,) in [0, 1]: of the variance of each (M, N) row of accuracies what the choices in these
    columns of ``rows`` (N, D) explain; 0 where nothing varies."""
    centred = accuracies - accuracies.mean(1, keepdims=True)
    whole = (centred**2).sum(1)
    basis = _basis(rows[:, list(columns)])
    free = len(rows) - 1
    unexplained = 1 - ((centred @ basis) ** 2).sum(1) / np.where(whole > 0, whole, 1.0)
    adjusted = 1 - unexplained * free / max(free - basis.shape[1], 1)
    found: Floats = np.where(whole > 1e-18 * free, np.clip(adjusted, 0.0, 1.0), 0.0)
    return found


def _basis(rows: NDArray[np.int64]) -> Floats:
    """(N, rank): orthonormal columns of what the values of the choices, as categories, can
    explain beyond a constant."""
    hot = np.hstack([column[:, None] == np.unique(column) for column in rows.T]).astype(float)
    left, sizes, _ = np.linalg.svd(hot - hot.mean(0), full_matrices=False)
    found: Floats = left[:, sizes > 1e-9 * max(sizes[0], 1.0)]
    return found


def told_apart(found: Mapping[str, Any]) -> bool:
    """Whether of any two kinds, or any two choices, one is known to explain more."""
    choices = [one["share"] for one in found["choices"]]
    return any(
        max(low for low, _, _ in own) > min(high for _, _, high in own)
        for own in (list(found["kinds"].values()), choices)
    )

"""How well scores rank networks: at equal cost, and beside what else could explain it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import kendalltau

from nas.calibrate import agreement

Floats = np.ndarray[Any, np.dtype[np.float64]]

ALIKE = 0.05  # of the logarithm of multiply-adds


def at_equal_cost(values: Floats, truth: Floats, macs: Floats) -> float:
    """Kendall's τ-a, (N,) each, over the pairs of networks whose multiply-adds differ by ``ALIKE``
    at most; NaN without such a pair."""
    size = np.log(macs)
    alike = np.triu(np.abs(size[:, None] - size) < ALIKE, 1)
    agree = np.sign(values[:, None] - values) * np.sign(truth[:, None] - truth)
    ranked = np.abs(agree[alike]).sum()
    return float(agree[alike].sum() / ranked) if ranked else math.nan


def beside(values: Floats, truth: Floats, other: Floats) -> float:
    """Kendall's partial τ of ``values`` and ``truth``, ``other`` held fixed (Kendall 1942,
    Biometrika 32, 277-283): what they have in common that ``other`` does not explain. NaN where
    it explains all of one of them."""
    one, two, both = (
        float(kendalltau(*pair).statistic)
        for pair in ((values, other), (truth, other), (values, truth))
    )
    left = (1 - one**2) * (1 - two**2)
    return (both - one * two) / math.sqrt(left) if left > 0 else math.nan


class Truth(NamedTuple):
    """What networks are worth, (N,), more is better, beside what could explain how a score ranks
    them: minus their distance from the parent, and their multiply-adds."""

    values: Floats
    near: Floats
    macs: Floats

    def cells(self, score: Sequence[float] | Floats) -> str:
        """Three cells of a table: τ and its 90 % interval, τ with nearness held fixed, τ at equal
        FLOPs."""
        one = np.asarray(score, dtype=float)
        fixed = "" if one is self.near else f"{beside(one, self.values, self.near):.2f}"
        alike = at_equal_cost(one, self.values, self.macs)
        return f"{agreement(one.tolist(), self.values.tolist())} | {fixed} | {alike:.2f}"

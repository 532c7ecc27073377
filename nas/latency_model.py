"""What a network's latency will be, from those of some dozen networks: a ridge regression.

Latency is taken to be additive over the stages, with a rate for what a stage computes, writes and
launches: seconds a multiply-add, an activation and a layer, each apart for every word that the
stages choose (a kernel of 5, an SE ratio, a plain convolution …), around rates for the whole
network. Sharing rates between stages is what lets so few networks tell. Relative errors are
minimised; the strength of the ridge is the one whose leave-one-out errors are least.
"""

from __future__ import annotations

import math

import numpy as np

from nas.costing import Floats
from nas.space import Batch, Space, Value

RIDGES = tuple(10.0**power for power in np.arange(-3, 1.6, 0.5))
TOTALS = 5  # columns before the words': 1, multiply-adds, parameters, activations, layers
_SHARED = 0.3  # standard deviation that a word's rates are guessed to have, of the network's own
_LEAST = 0.2  # no network is predicted to be quicker than this part of the quickest one measured


class Parts:
    """What latency is taken to be a weighted sum of, for candidates of one space."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._known: dict[tuple[int, int], int] = {}
        self._words: dict[tuple[str, Value], list[tuple[int, int, int]]] = {}
        d = 0
        for stage, choices in enumerate(space.stages):
            for kind, values in choices.values.items():
                for index, value in enumerate(values):
                    self._words.setdefault((kind, value), []).append((stage, d, index))
                d += 1

    def __call__(self, rows: Batch) -> Floats:
        """(N, columns) of candidates (N, D): 1, the network's totals, then each word's."""
        costs = self._space.part_costs(rows)[:, :, :3].astype(float)
        layers = self._layers(rows)
        stages = np.dstack([costs[:, 1:-1, 0], costs[:, 1:-1, 2], layers])
        totals = np.column_stack([np.ones(len(rows)), costs.sum(1), layers.sum(1)])
        words = [
            sum(stages[:, stage] * (rows[:, d] == index)[:, None] for stage, d, index in places)
            for places in self._words.values()
            if len(places) > 1  # a word of one stage alone has nobody to share its rates with
        ]
        return np.hstack([totals, *words])

    def _layers(self, rows: Batch) -> Floats:
        """Blocks in each stage, (N, stages)."""
        found = np.empty((len(rows), len(self._space.stages)))
        start = 0
        for i, choices in enumerate(self._space.stages):
            radix = [len(values) for values in choices.values.values()]
            own = rows[:, start : start + len(radix)]
            codes, inverse = np.unique(np.ravel_multi_index(own.T, radix), return_inverse=True)
            layers = [self._layers_of(i, int(code), radix) for code in codes]
            found[:, i] = np.array(layers)[inverse]
            start += len(radix)
        return found

    def _layers_of(self, i: int, code: int, radix: list[int]) -> int:
        if (i, code) not in self._known:
            choices = self._space.stages[i]
            menus = zip(choices.values.items(), np.unravel_index(code, radix), strict=True)
            values = {name: menu[int(index)] for (name, menu), index in menus}
            self._known[i, code] = choices.make(**values).layers
        return self._known[i, code]


class LatencyModel:
    """Fitted to candidates (N, D) and their latencies (N,) in seconds, N ≥ 2, at birth.

    missed   (N,) relative errors of predicting each from the others
    """

    def __init__(self, parts: Parts, rows: Batch, seconds: Floats) -> None:
        self._parts = parts
        raw = parts(rows)
        self._scale = _scale(raw)
        self._unit = float(seconds.mean())
        self._least = _LEAST * float(seconds.min())
        weighted = raw * self._scale * (self._unit / seconds)[:, None]
        left, singular, right = np.linalg.svd(weighted, full_matrices=False)
        fits = [_fit(left, singular, ridge) for ridge in RIDGES]
        weights, self.missed = min(fits, key=lambda fit: float((fit[1] ** 2).mean()))
        self._weights: Floats = right.T @ weights

    def __call__(self, rows: Batch) -> Floats:
        """Seconds expected, (N,)."""
        found: Floats = (self._parts(rows) * self._scale) @ self._weights * self._unit
        return np.maximum(found, self._least)


def _scale(raw: Floats) -> Floats:
    """Factors that bring columns to the size that they are guessed to contribute."""
    size = np.sqrt((raw**2).mean(0))
    share = np.ones(raw.shape[1])
    words = raw.shape[1] - TOTALS
    share[1:TOTALS] = 1 / math.sqrt(TOTALS - 1)
    share[TOTALS:] = _SHARED / math.sqrt(max(words, 1))
    found: Floats = np.where(size > 0, share / np.where(size > 0, size, 1), 0)
    return found


def _fit(left: Floats, singular: Floats, ridge: float) -> tuple[Floats, Floats]:
    """Weights in the basis of the right singular vectors, and what leaving one out misses: the
    target is 1 everywhere, because errors are relative."""
    target = left.sum(0)
    kept = singular**2 / (singular**2 + ridge)
    leverage = (left**2 * kept).sum(1)
    missed: Floats = (left @ (kept * target) - 1) / np.maximum(1 - leverage, 1e-9)
    weights: Floats = kept / np.where(singular > 0, singular, 1) * target
    return weights, missed

"""What a network's latency will be, from those of some dozen networks: a ridge regression.

Latency is taken to be additive over a network's layers: seconds for each multiply-add, each element
that is put out and each layer, at rates of their own for every kind of layer (``models.work``),
around rates for the whole network. Relative errors are minimised.
"""

from __future__ import annotations

import math

import numpy as np

from models.cost import Part
from models.spec import ArchSpec
from models.work import work
from nas.costing import Floats
from nas.space import Batch, Space

# Against squared relative errors; the best of a row of powers for samples of 24 to 48 networks.
RIDGE = 0.1
TOTALS = 5  # columns before the kinds': 1, multiply-adds, parameters, activations, layers
_LEAST = 0.2  # no network is predicted to be quicker than this part of the quickest one measured


def columns(space: Space, rows: Batch) -> Floats:
    """What latency is taken to be a weighted sum of, (N, columns) of candidates (N, D): 1, the
    network's totals, then each kind of layer's."""
    totals = space.part_costs(rows)[:, :, :3].sum(1)
    kinds = space.over_parts(rows, _work).sum(1)
    layers = kinds[:, 2::3].sum(1)
    return np.column_stack([np.ones(len(rows)), totals, layers, kinds]).astype(float)


def _work(network: ArchSpec, _: list[Part]) -> list[tuple[int, ...]]:
    return work(network)


class LatencyModel:
    """Fitted to candidates (N, D) of ``space`` and their latencies (N,) in seconds at birth."""

    def __init__(self, space: Space, rows: Batch, seconds: Floats) -> None:
        self._space = space
        raw = columns(space, rows)
        self._scale = _scale(raw)
        self._unit = float(seconds.mean())
        self._least = _LEAST * float(seconds.min())
        relative = raw * self._scale * (self._unit / seconds)[:, None]  # the target is 1 everywhere
        gram = relative.T @ relative + RIDGE * np.eye(raw.shape[1])
        self._weights: Floats = np.linalg.solve(gram, relative.sum(0))

    def __call__(self, rows: Batch) -> Floats:
        """Seconds expected, (N,)."""
        found: Floats = (columns(self._space, rows) * self._scale) @ self._weights * self._unit
        return np.maximum(found, self._least)


def _scale(raw: Floats) -> Floats:
    """Factors that bring columns to the size that they are guessed to contribute."""
    size = np.sqrt((raw**2).mean(0))
    share = np.ones(raw.shape[1])
    share[1:TOTALS] = 1 / math.sqrt(TOTALS - 1)
    share[TOTALS:] = 1 / math.sqrt(raw.shape[1] - TOTALS)
    found: Floats = np.where(size > 0, share / np.where(size > 0, size, 1), 0)
    return found

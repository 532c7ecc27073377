"""A distilled prior from a table of networks: ridge regression, judged on rows left out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nas.costing import Floats
from nas.prior.distilled import Distilled
from nas.prior.traits import Traits
from nas.space import Batch, Space

PENALTY = 30.0  # of the squared weights; from 10 to 100 rows left out are foretold alike
BANDS = 5  # of multiply-adds, each left out in turn
DIGITS = 7  # that are kept of a number


class Rows(NamedTuple):
    """Traits (N, …), accuracies (N,) in [0, 1) and multiply-adds (N,) of networks."""

    traits: Floats
    accuracy: Floats
    macs: Floats

    def take(self, chosen: NDArray[np.int64]) -> Rows:
        return Rows(self.traits[chosen], self.accuracy[chosen], self.macs[chosen])


def rows_of(space: Space, rows: Batch, accuracy: Floats) -> Rows:
    """Each network once, the mean of its accuracies. Raises ValueError for one of 1 or more."""
    if not (accuracy < 1).all():
        raise ValueError(f"an accuracy of {accuracy.max():g} is no share: divide percents by 100")
    networks, which = np.unique(rows, axis=0, return_inverse=True)
    mean = np.bincount(which.ravel(), accuracy) / np.bincount(which.ravel())
    macs = space.costs(networks).macs.astype(float)
    return Rows(Traits(space)(networks), mean, macs)


def fit(rows: Rows, name: str, source: str, licence: str, command: str) -> Distilled:
    """The quadratic of all ``rows``, with what was found of rows left out."""
    held_out = {"halves": _judged(rows, _halves(len(rows.macs)))}
    for band, part in enumerate(np.array_split(np.argsort(rows.macs, kind="stable"), BANDS)):
        low, high = rows.macs[part].min() / 1e6, rows.macs[part].max() / 1e6
        held_out[f"band {band}, {low:.0f}M to {high:.0f}M"] = _judged(rows, [part])
    facts = (name, source, licence, command, len(rows.macs))
    return Distilled(*facts, held_out, **_quadratic(rows))


def _halves(count: int) -> list[NDArray[np.int64]]:
    return np.array_split(np.random.default_rng(0).permutation(count), 2)


def _judged(rows: Rows, left_out: list[NDArray[np.int64]]) -> dict[str, float]:
    """R² and τ of each of the parts by the rest, their mean."""
    found = []
    for part in left_out:
        rest = np.setdiff1d(np.arange(len(rows.macs)), part)
        made = Distilled("", "", "", "", len(rest), {}, **_quadratic(rows.take(rest)))
        truth, told = rows.accuracy[part], made.accuracy(rows.traits[part])
        r2 = 1 - ((truth - told) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
        found.append((r2, kendalltau(truth, told).statistic))
    r2, tau = np.mean(found, 0)
    return {"r2": round(float(r2), 3), "tau": round(float(tau), 3)}


def _quadratic(rows: Rows) -> dict[str, Any]:
    """mean, sd, low, high, constant, linear and square of ``Distilled``."""
    mean, sd = rows.traits.mean(0), rows.traits.std(0)
    if not (sd > 1e-9).all():
        raise ValueError("the table's networks are alike in a trait: it teaches nothing of that")
    z = (rows.traits - mean) / sd
    i, j = np.triu_indices(z.shape[1])
    columns = np.hstack([z, z[:, i] * z[:, j]])
    middle, spread = columns.mean(0), columns.std(0) + 1e-12
    target = -np.log(1 - rows.accuracy)
    known = (columns - middle) / spread
    gram = known.T @ known + PENALTY * np.eye(known.shape[1])
    weights = np.linalg.solve(gram, known.T @ (target - target.mean())) / spread
    constant = float(target.mean() - middle @ weights)
    linear, square = np.split(weights, [z.shape[1]])
    found = {"mean": mean, "sd": sd, "low": z.min(0), "high": z.max(0)}
    found |= {"linear": linear, "square": square}
    return {name: _short(one) for name, one in found.items()} | {
        "constant": _short(np.array([constant]))[0]
    }


def _short(numbers: Floats) -> tuple[float, ...]:
    return tuple(float(f"{number:.{DIGITS}g}") for number in numbers)

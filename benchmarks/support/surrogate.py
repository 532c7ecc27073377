"""A stand-in for training: an ensemble fitted to measured (architecture, accuracy) rows.

Of another family than the searches' own model, on other features: gradient-boosted trees and
small neural networks on one-hot and ordinal choices and all costs, averaged.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from nas.objective import Objective
from nas.prior import accel_nasbench_choices
from nas.space import Batch, Space

Floats = NDArray[np.float64]
NETWORKS = 8  # neural networks in the ensemble


class Table:
    """Measured rows: ``rows`` (N, D) of the space, each network once, and ``accuracy`` (N,) in
    [0, 1]: the mean where a network was trained more than once."""

    def __init__(self, rows: Batch, accuracy: Floats) -> None:
        self.rows, self.accuracy = rows, accuracy

    def take(self, chosen: NDArray[np.int64]) -> Table:
        return Table(self.rows[chosen], self.accuracy[chosen])

    @classmethod
    def read(cls, path: Path, space: Space) -> Table:
        """The rows of an Accel-NASBench table; ValueError where the file or a row is not one."""
        try:
            frame = pd.read_csv(path)
            top1 = frame.groupby("architecture", sort=True)["imagenet_top1_percent"].mean()
        except (OSError, KeyError) as error:
            raise ValueError(f"{path} is no Accel-NASBench table: {error}") from None
        rows = space.indices([accel_nasbench_choices(text) for text in top1.index])
        return cls(rows, top1.to_numpy(dtype=float) / 100)


class Surrogate:
    """Fitted at birth; calling it predicts accuracies (N,) of rows (N, D)."""

    def __init__(self, space: Space, table: Table, seed: int = 0) -> None:
        self.space = space
        features = self._features(table.rows)
        self._scaler = StandardScaler().fit(features)
        self._mean, self._sd = table.accuracy.mean(), table.accuracy.std()
        inputs, target = self._scaler.transform(features), (table.accuracy - self._mean) / self._sd
        trees = GradientBoostingRegressor(
            n_estimators=600, max_depth=4, learning_rate=0.05, subsample=0.5, random_state=seed
        )
        self._trees = trees.fit(inputs, target)
        self._networks = [
            MLPRegressor(
                hidden_layer_sizes=(64, 64),
                alpha=0.1,
                learning_rate_init=2e-3,
                max_iter=150,
                tol=0,
                n_iter_no_change=1000,  # no early stop, nor the warning that there was none
                random_state=seed + i,
            ).fit(inputs, target)
            for i in range(NETWORKS)
        ]

    def __call__(self, rows: Batch) -> Floats:
        inputs = self._scaler.transform(self._features(rows))
        networks = np.mean([network.predict(inputs) for network in self._networks], axis=0)
        mixed = 0.3 * self._trees.predict(inputs) + 0.7 * networks
        found: Floats = mixed * self._sd + self._mean
        return found

    def _features(self, rows: Batch) -> Floats:
        hot = [rows[:, d, None] == np.arange(size) for d, size in enumerate(self.space.sizes)]
        totals = np.log(np.stack(self.space.costs(rows), 1))
        stages = np.log1p(self.space.part_costs(rows)[:, 1:-1, :2].reshape(len(rows), -1))
        return np.hstack([*hot, self.space.encode(rows), totals, stages])


def scores(surrogate: Surrogate, table: Table) -> tuple[float, float]:
    """R² and Kendall's τ of predicting a table that the surrogate was not fitted to."""
    predicted, truth = surrogate(table.rows), table.accuracy
    r2 = 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    return float(r2), float(kendalltau(truth, predicted).statistic)


def search_directly(surrogate: Surrogate, objective: Objective) -> tuple[Floats, Floats]:
    """Accuracy and cost of the best networks that evolution finds in 40 rounds:
    the best rewards, or for the aim ``front`` the best under many limits of cost."""
    space, rng = surrogate.space, np.random.default_rng(0)
    rows = space.random(8000, rng)
    limits = objective.budget * np.linspace(objective.low, objective.high, 60)
    for _ in range(40):
        costs = space.costs(rows).macs.astype(float)
        inside = np.asarray(objective.admits(costs))
        rows, costs = rows[inside], costs[inside]
        accuracy = surrogate(rows)
        if objective.aim == "front":
            ranks = [np.argsort(-np.where(costs <= limit, accuracy, 0))[:6] for limit in limits]
            kept = np.unique(np.concatenate(ranks))
        else:
            kept = np.argsort(-objective.reward(accuracy, costs))[:200]
        best, accuracy, costs = rows[kept], accuracy[kept], costs[kept]
        near = space.mutated(np.repeat(best, 6, axis=0), rng)
        rows = np.unique(np.vstack([best, near, space.mutated(near, rng)]), axis=0)
    return accuracy, costs

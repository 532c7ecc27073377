"""What a search takes accuracies to be: every source as far as its trainings bear it out."""

from __future__ import annotations

import numpy as np

from nas.belief.knowledge import Knowledge, Views
from nas.belief.model import SPREAD, Model
from nas.candidates import Floats
from nas.space import Batch

DOUBTED = 1e-3  # a view less probable than this is left out


class Belief:
    """The views of ``Knowledge``, each with a model of its own, weighed by their evidence.

    Beforehand all views are alike. A training that one of them expected better raises that view's
    weight, its probability, by as much: Bayesian model averaging. While views disagree about a
    network, their disagreement is part of its uncertainty, so that it is looked into.

    ``trust`` in (0, 1) overrides the evidence: that share of what is expected comes from it, the
    rest is the first view's guess, whatever trainings say. A training of seconds errs in the same
    direction whenever it is repeated (it likes networks that learn fast), which no model of its
    noise can see. ``rows`` (N, D) are the trained networks in their order, ``error`` is as the
    models'. Other networks are seen with their own scores where ``scored`` is asked for, which
    costs seconds each, and else with those that are expected of them.
    """

    def __init__(
        self,
        see: Knowledge,
        rows: Batch,
        accuracy: Floats,
        trust: float | None = None,
        error: Floats | float = 0.0,
    ) -> None:
        views = see.scored(rows)
        error = np.broadcast_to(error, accuracy.shape)
        models = {n: Model(data, accuracy, error, see.doubt(n)) for n, data in views.items()}
        evidence = np.array([model.evidence for model in models.values()])
        odds = np.exp(evidence - evidence.max())
        self.weights = {n: float(w) for n, w in zip(models, odds / odds.sum(), strict=True)}
        self.models = {n: m for n, m in models.items() if self.weights[n] > DOUBTED}
        self._see, self._trust = see, 1.0 if trust is None else trust
        self._centre, self._middle = float(accuracy.mean()), _first(views).mean()
        self._slope = SPREAD * min(max(1 - self._centre, 1e-4), 1.0)

    def mean(self, rows: Batch, scored: bool = False) -> Floats:
        """The accuracies expected, (N,)."""
        views = self._views(rows, scored)
        means = np.array([model.mean(views[name]) for name, model in self.models.items()])
        return self._overridden(self.shares @ means, views)

    def predict(self, rows: Batch, scored: bool = False) -> tuple[Floats, Floats]:
        """Mean and standard deviation of what trainings can still change, (N,) each."""
        views = self._views(rows, scored)
        found = [model.predict(views[name]) for name, model in self.models.items()]
        means, sds = np.array([mean for mean, _ in found]), np.array([sd for _, sd in found])
        mean = self.shares @ means
        sd = np.sqrt(self.shares @ (sds**2 + (means - mean) ** 2))
        return self._overridden(mean, views), self._trust * sd

    def believe(self, pending: Batch) -> None:
        """Take running trials to come out as expected."""
        views = self._views(pending, scored=True)
        for name, model in self.models.items():
            model.believe(views[name])

    @property
    def shares(self) -> Floats:
        """The weights of ``models``, which sum to 1."""
        kept = np.array([self.weights[name] for name in self.models])
        found: Floats = kept / kept.sum()
        return found

    def _views(self, rows: Batch, scored: bool) -> Views:
        return self._see.scored(rows) if scored else self._see.expected(rows)

    def _overridden(self, mean: Floats, views: Views) -> Floats:
        if self._trust == 1:
            return mean
        guess = self._centre + self._slope * (_first(views) - self._middle)
        found: Floats = self._trust * mean + (1 - self._trust) * guess
        return found


def _first(views: Views) -> Floats:
    """The guess of the first view: the prior's, or capacity."""
    return next(iter(views.values())).guess

"""Everything that is known of a network before it is trained, earlier runs included."""

from __future__ import annotations

import numpy as np

from nas.belief.features import Features
from nas.belief.model import Data, Model
from nas.candidates import Candidates, Floats
from nas.prior import Prior
from nas.space import Batch

ROWS = 600  # of a prior table that are used, at most
BELIEF = 1.0  # standard deviations of accuracy that one of capacity is guessed to be worth


class Knowledge:
    """Rows as the model of accuracy sees them: features and a guess.

    The guess is ``capacity``'s. A prior's model makes it instead as far as it can be trusted:
    ``trust`` is its leave-one-out R² on its own table, so that a table whose accuracies have
    nothing to do with its architectures says so before it has cost a training. What the prior says
    otherwise than capacity is also a feature, whose weight the search's own results decide: at -1
    they return to capacity, beyond it they turn round a table that says the opposite.
    """

    def __init__(self, candidates: Candidates, prior: Prior | None = None) -> None:
        self._features = Features(candidates)
        self.trust = 0.0
        if prior is not None:
            self._learn(prior, candidates)

    def __call__(self, rows: Batch) -> Data:
        data = self.without_prior(rows)
        if not self.trust:
            return data
        expected = (self._model.mean(data) - self._mean) / self._sd
        otherwise = self.trust * (expected - data.guess)
        return Data(data.groups | {"prior": otherwise[:, None]}, data.guess + otherwise)

    def without_prior(self, rows: Batch) -> Data:
        """The same, as if there were no prior."""
        groups = self._features(rows)
        capacity = self._features.capacity(groups)
        return Data(groups | {"capacity": capacity[:, None]}, BELIEF * capacity)

    def _learn(self, prior: Prior, candidates: Candidates) -> None:
        rng = np.random.default_rng(0)
        chosen = rng.permutation(len(prior.rows))[:ROWS]
        # In any unit: brought to where the model expects accuracies to lie.
        accuracy: Floats = prior.accuracy[chosen] - prior.accuracy[chosen].mean()
        scaled = 0.6 + 0.03 * accuracy / accuracy.std()
        self._model = Model(self.without_prior(prior.rows[chosen]), scaled)
        self.trust = max(0.0, self._model.leave_one_out())
        seen = self._model.mean(self.without_prior(self._features.reference(candidates)))
        self._mean, self._sd = float(seen.mean()), float(seen.std()) + 1e-12

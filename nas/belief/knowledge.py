"""Everything that is known of a network before it is trained, earlier runs included."""

from __future__ import annotations

import numpy as np

from nas.belief.features import Features
from nas.belief.model import Data, Model
from nas.candidates import Candidates, Floats
from nas.prior import Prior
from nas.space import Batch

ROWS = 600  # of a prior table that are used, at most
NONE, CAPACITY, PRIOR = "none", "capacity", "prior"

Views = dict[str, Data]


class Knowledge:
    """Rows as the models of accuracy see them: one view for each thing that may be believed.

    A view is the hypothesis that one source of information, ``capacity`` or the ``prior``,
    foretells accuracies, in sign and size; ``none`` is that no source does. All views have all
    features, the sources among them, of either sign: a view says what is expected beforehand, not
    what may be found out. The strongest guess comes first.

    ``trust`` is how far the prior's model can be trusted, its leave-one-out R² on its own table: a
    table whose accuracies have nothing to do with its architectures says so before it has cost a
    training, and is no source. ``believed`` are the sources that have a view.
    """

    def __init__(self, candidates: Candidates, prior: Prior | None = None) -> None:
        self._features = Features(candidates)
        self.trust = 0.0
        self.believed: tuple[str, ...] = (PRIOR, CAPACITY)
        if prior is not None:
            self._learn(prior)

    def __call__(self, rows: Batch) -> Views:
        groups = self._features(rows)
        nothing = np.zeros(len(rows))
        guesses = {CAPACITY: groups[CAPACITY][:, 0]}
        if self.trust:
            expected = (self._model.mean(Data(groups, nothing)) - self._mean) / self._sd
            guesses = {PRIOR: self.trust * expected} | guesses
            groups = groups | {PRIOR: expected[:, None]}
        views = {
            name: Data(groups | {"guess": guess[:, None]}, guess)
            for name, guess in guesses.items()
            if name in self.believed
        }
        return views | {NONE: Data(groups, nothing)}

    @property
    def reference(self) -> Batch:
        """Random networks of the window."""
        return self._features.reference

    def _learn(self, prior: Prior) -> None:
        rng = np.random.default_rng(0)
        chosen = rng.permutation(len(prior.rows))[:ROWS]
        # In any unit: brought to where the model expects accuracies to lie.
        accuracy: Floats = prior.accuracy[chosen] - prior.accuracy[chosen].mean()
        scaled = 0.6 + 0.03 * accuracy / accuracy.std()
        self._model = Model(self(prior.rows[chosen])[NONE], scaled)
        seen = self._model.mean(self(self.reference)[NONE])
        self._mean, self._sd = float(seen.mean()), float(seen.std()) + 1e-12
        self.trust = max(0.0, self._model.leave_one_out())

"""What a search takes accuracies to be: what its trainings say, as far as they are trusted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.belief.knowledge import Knowledge
from nas.belief.model import SPREAD, Data, Model
from nas.candidates import Floats
from nas.space import Batch

View = Callable[[Batch], Data]

JUDGES = 60  # first trainings that say whether a prior is heeded


class Belief:
    """The model of the trainings and the guess that needs none, weighed ``trust`` to 1 - ``trust``.

    A training of seconds errs in the same direction whenever it is repeated (it likes networks that
    learn fast), which no model of its noise can see. ``trust`` 1 takes trainings at their word. The
    guess is in the model's prior units around the mean accuracy that was trained. ``rows`` (N, D)
    are the trained networks in their order, ``error`` is as the model's.
    """

    def __init__(
        self,
        see: Knowledge,
        rows: Batch,
        accuracy: Floats,
        trust: float = 1.0,
        error: Floats | float = 0.0,
    ) -> None:
        error = np.broadcast_to(error, accuracy.shape)
        self._view, self._guessed = _heeded(see, rows, accuracy, error), see
        self._model = Model(self._view(rows), accuracy, error)
        self._trust = trust
        self._centre = float(accuracy.mean())
        self._middle = 0.0 if trust == 1 else float(see(rows).guess.mean())
        self._slope = SPREAD * min(max(1 - self._centre, 1e-4), 1.0)

    def mean(self, rows: Batch) -> Floats:
        """The accuracies expected, (N,)."""
        return self._weighed(self._model.mean(self._view(rows)), rows)

    def predict(self, rows: Batch) -> tuple[Floats, Floats]:
        """Mean and standard deviation of what trainings can still change, (N,) each."""
        mean, sd = self._model.predict(self._view(rows))
        return self._weighed(mean, rows), self._trust * sd

    def believe(self, pending: Batch) -> None:
        """Take running trials to come out as expected."""
        self._model.believe(self._view(pending))

    def _weighed(self, mean: Floats, rows: Batch) -> Floats:
        if self._trust == 1:
            return mean
        # Trainings that are not trusted do not overrule a prior here.
        guess = self._centre + self._slope * (self._guessed(rows).guess - self._middle)
        found: Floats = self._trust * mean + (1 - self._trust) * guess
        return found


def _heeded(see: Knowledge, rows: Batch, accuracy: Floats, error: Floats) -> View:
    """``see``, or without its prior where that explains the first trainings better: an earlier
    run may rank networks by what does not matter here, and say so as firmly as a good one."""
    if not see.trust:
        return see.without_prior
    few = slice(JUDGES)

    def evidence(view: View) -> float:
        return Model(view(rows[few]), accuracy[few], error[few]).evidence

    views: list[View] = [see, see.without_prior]
    return max(views, key=evidence)

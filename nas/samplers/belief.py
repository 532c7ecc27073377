"""What a search takes accuracies to be: what its trainings say, as far as they are trusted."""

from __future__ import annotations

from nas.samplers.candidates import Floats
from nas.samplers.model import SPREAD, Data, Model


class Belief:
    """The model of the trainings and the guess that needs none, weighed ``trust`` to 1 - ``trust``.

    A training of seconds errs in the same direction whenever it is repeated (it likes networks that
    learn fast), which no model of its noise can see. ``trust`` 1 takes trainings at their word. The
    guess is in the model's prior units around the mean accuracy that was trained. ``error`` is as
    the model's.
    """

    def __init__(
        self, data: Data, accuracy: Floats, trust: float = 1.0, error: Floats | float = 0.0
    ) -> None:
        self._model = Model(data, accuracy, error)
        self._trust = trust
        self._centre, self._middle = float(accuracy.mean()), float(data.guess.mean())
        self._slope = SPREAD * min(max(1 - self._centre, 1e-4), 1.0)

    def mean(self, data: Data) -> Floats:
        """The accuracies expected, (N,)."""
        return self._weighed(self._model.mean(data), data)

    def predict(self, data: Data) -> tuple[Floats, Floats]:
        """Mean and standard deviation of what trainings can still change, (N,) each."""
        mean, sd = self._model.predict(data)
        return self._weighed(mean, data), self._trust * sd

    def believe(self, pending: Data) -> None:
        """Take running trials to come out as expected."""
        self._model.believe(pending)

    def _weighed(self, mean: Floats, data: Data) -> Floats:
        guess = self._centre + self._slope * (data.guess - self._middle)
        found: Floats = self._trust * mean + (1 - self._trust) * guess
        return found

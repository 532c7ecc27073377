"""Which trainings are stopped on the way: a learning-curve rule on the reward.

At a rung, a share of its training, a candidate's accuracy is measured. Over the trainings of the
study that went to their end, a straight line from the accuracy at the rung to the last one says
what may still be hoped for: the line's value and ``HOPE`` of its residual standard deviations. The
bar is the least accuracy at the rung with which the candidate, its exact cost counted in, may still
beat the best of the study; for the aim ``front``, the best that costs no more. That trainings below
a bar are missing from the line does not bend it: they were picked by what the line starts from.

Bars are numbers, known before the training: whatever trains needs nothing but them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from nas.candidates import Floats
from nas.objective import Objective
from trials.record import Rungs

RUNGS = (0.5, 0.75)
FEWEST = 6  # trainings to the end before any is stopped
HOPE = 2.0


class Line(NamedTuple):
    """Expected last accuracy = start + slope · accuracy at the rung, give or take ``error``."""

    start: float
    slope: float
    error: float


class Curves:
    """The curves of those of the ``trials`` that were trained to their end."""

    def __init__(
        self,
        trials: Iterable[FrozenTrial],
        objective: Objective,
        rungs: Sequence[float] = RUNGS,
        hope: float = HOPE,
    ) -> None:
        whole = [t for t in trials if t.state == TrialState.COMPLETE and _curve(t)]
        self._objective, self._rungs, self._hope = objective, rungs, hope
        self._curves = [_curve(trial) for trial in whole]
        self._last: Floats = np.array([t.user_attrs["evaluation"]["accuracy"] for t in whole])
        self._costs: Floats = np.array([t.user_attrs["cost"]["cost"] for t in whole], dtype=float)

    def bars(self, cost: float) -> Rungs:
        """The accuracy at each rung below which a candidate of that cost will lose; or 0."""
        return tuple((share, self._bar(share, cost)) for share in self._rungs)

    def expected(self, trial: FrozenTrial) -> tuple[float, float]:
        """The accuracy that a stopped trial would have come to, and its standard error; both NaN
        where too few were trained to their end."""
        share, accuracy = max(_curve(trial).items(), default=(0.0, 0.0))
        line = self._line(share)
        if line is None:
            return np.nan, np.nan
        return float(np.clip(line.start + line.slope * accuracy, 0, 1)), line.error

    def _bar(self, share: float, cost: float) -> float:
        line = self._line(share)
        rival = None if line is None else self._rival(cost)
        if line is None or rival is None:
            return 0.0
        place, handicap = rival
        needed = handicap * self._last[place]
        bar = (needed - self._hope * line.error - line.start) / line.slope
        # What stood no worse than the best did at this rung goes on, whatever the line says.
        bar = min(bar, handicap * self._curves[place].get(share, 0.0))
        return float(np.clip(bar, 0, 1))

    def _rival(self, cost: float) -> tuple[int, float] | None:
        """Whom a candidate of that cost has to beat, and by what its accuracies count for it."""
        aim = self._objective
        if aim.aim != "front":
            best = int(np.argmax(aim.reward(self._last, self._costs)))
            return best, aim.factor(float(self._costs[best])) / aim.factor(cost)
        cheaper = np.where(self._costs <= cost, self._last, -1.0)
        best = int(np.argmax(cheaper))
        return (best, 1.0) if cheaper[best] >= 0 else None

    def _line(self, share: float) -> Line | None:
        """None where too few were trained to their end, or the rung foretells nothing."""
        known = [i for i, curve in enumerate(self._curves) if share in curve]
        if len(known) < FEWEST:
            return None
        at, last = np.array([self._curves[i][share] for i in known]), self._last[known]
        spread = at - at.mean()
        slope = float(spread @ last / max(spread @ spread, 1e-12))
        if slope <= 1e-6:
            return None
        start = float(last.mean() - slope * at.mean())
        missed = last - start - slope * at
        return Line(start, slope, float(np.sqrt(missed @ missed / (len(known) - 2))))


def _curve(trial: FrozenTrial) -> dict[float, float]:
    """Accuracy by share of the training, as the trial's outcome has it."""
    attrs = trial.user_attrs
    outcome = attrs.get("evaluation") or attrs.get("stopped") or {}
    return dict(outcome.get("curve", ()))

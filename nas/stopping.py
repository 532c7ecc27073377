"""Which trainings are stopped on the way: a learning-curve rule on the reward.

At a rung, a share of its training, a candidate's accuracy is measured. A straight line from the
accuracy at the rung to the last one, both as log-odds, says what may still be hoped for: the line's
value and ``HOPE`` of its residual standard deviations, by Student's distribution more where few
trainings made it. (Of accuracies themselves there is no such line: from 10 % one recovers to 95,
from 97 to 98.) The bar is the least accuracy at the rung with which the candidate, its exact cost
counted in, may still beat the best of the study; for the aim ``front``, the best that costs no
more.

Trainings that were cut are missing from what the line ends in. Those that were cut at its own rung
do not bend it: they were picked by what it starts from. Those that were cut later would, because
they were picked by how they went on. So the line is composed of steps, each from what was measured
until then to the next measurement, fitted to all trainings that came so far, whether or not they
were cut there: within a step only regressors decide what is missing (the factored likelihood of
monotone missing data; Little and Rubin, "Statistical Analysis with Missing Data", chapter 7).

Of networks that inherit weights the one rung is before the training begins (``BEFORE``): what a
candidate is worth untrained often tells already that it will lose, and how often is what the line
of each run has to show.

Bars are numbers, known before the training: whatever trains needs nothing but them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from optuna.trial import FrozenTrial, TrialState
from scipy.special import expit, logit, ndtr, stdtrit

from nas.candidates import Floats
from nas.objective import Objective
from trials.record import Rungs

RUNGS = (0.5, 0.75)
BEFORE = (0.0,)  # of what inherits weights
FEWEST = 6  # trainings to the end before any is stopped
LEAST = 1e-3  # the accuracies that are told apart: from this to all but this
HOPE = 2.0  # standard deviations of a normal distribution: one end in 44 is better


class Line(NamedTuple):
    """Expected last log-odds = start + slope · those at the rung, give or take ``error``, which is
    an estimate of so many degrees of freedom."""

    start: float
    slope: float
    error: float
    freedom: int

    def hope(self, deviations: float) -> float:
        """What may be hoped for beyond the line: an end exceeds it as often as a normal one does so
        many standard deviations."""
        return float(self.error * stdtrit(self.freedom, ndtr(deviations)))


class Curves:
    """The curves of ``trials``; of those that were trained to their end, what they came to."""

    def __init__(
        self,
        trials: Iterable[FrozenTrial],
        objective: Objective,
        rungs: Sequence[float] = RUNGS,
        hope: float = HOPE,
    ) -> None:
        seen = [trial for trial in trials if _curve(trial)]
        whole = [trial for trial in seen if trial.state == TrialState.COMPLETE]
        cut = [trial for trial in seen if trial.state == TrialState.PRUNED]
        self._objective, self._rungs, self._hope = objective, rungs, hope
        self._curves = [_curve(trial) for trial in whole]
        self._cut = [_curve(trial) for trial in cut]
        self._last: Floats = np.array([t.user_attrs["evaluation"]["accuracy"] for t in whole])
        self._costs: Floats = np.array([t.user_attrs["cost"]["cost"] for t in whole], dtype=float)

    def bars(self, cost: float, along: bool = False) -> Rungs:
        """The accuracy at each rung below which a candidate of that cost will lose; or 0. One that
        is tried to extend the front (``along``) loses as for the aim ``front``."""
        along = along or self._objective.aim == "front"
        return tuple((share, self._bar(share, cost, along)) for share in self._rungs)

    def expected(self, trial: FrozenTrial) -> tuple[float, float]:
        """The accuracy that a stopped trial would have come to, and its standard error; both NaN
        where too few were trained to their end.

        No less than it had: what the line says of one far below all that made it, such as a network
        cut to pieces after six sound ones, is a guess; and no surer than of a usual one.
        """
        share, accuracy = max(_curve(trial).items(), default=(0.0, 0.0))
        line = self._line(share)
        if line is None:
            return np.nan, np.nan
        stood, usual = _odds(accuracy), float(np.mean(self._last))
        expected = float(expit(np.clip(line.start + line.slope * stood, stood, _odds(1.0))))
        return expected, line.error * max(one * (1 - one) for one in (expected, usual))

    def _bar(self, share: float, cost: float, along: bool) -> float:
        line = self._line(share)
        rival = None if line is None else self._rival(cost, along)
        if line is None or rival is None:
            return 0.0
        place, handicap = rival
        needed = _odds(handicap * self._last[place])
        bar = float(expit((needed - line.hope(self._hope) - line.start) / line.slope))
        # What stood no worse than the best did at this rung goes on, whatever the line says.
        bar = min(bar, handicap * self._curves[place].get(share, 0.0))
        return float(np.clip(bar, 0, 1))

    def _rival(self, cost: float, along: bool) -> tuple[int, float] | None:
        """Whom a candidate of that cost has to beat, and by what its accuracies count for it."""
        aim = self._objective
        if not along:
            best = int(np.argmax(aim.reward(self._last, self._costs)))
            return best, aim.factor(float(self._costs[best])) / aim.factor(cost)
        cheaper = np.where(self._costs <= cost, self._last, -1.0)
        best = int(np.argmax(cheaper))
        return (best, 1.0) if cheaper[best] >= 0 else None

    def _line(self, share: float) -> Line | None:
        """None where too few were trained to their end, or the rung foretells nothing."""
        known = [i for i, curve in enumerate(self._curves) if share in curve]
        later = [r for r in self._rungs if r > share and all(r in self._curves[i] for i in known)]
        points = [share, *later]
        if len(known) < max(FEWEST, len(points) + 2):  # one more than a step has figures
            return None
        reached = [[*_measured(self._curves[i], points), self._last[i]] for i in known]
        reached += [[*_measured(curve, points), np.nan] for curve in self._cut if share in curve]
        line = _composed(_odds(np.array(reached, dtype=float)))
        return line if line.slope > 1e-6 else None


def _odds(accuracy: Any) -> Any:
    """Their logarithm; NaN stays."""
    return logit(np.clip(accuracy, LEAST, 1 - LEAST))


def _measured(curve: dict[float, float], points: Sequence[float]) -> list[float]:
    return [curve.get(point, np.nan) for point in points]


def _composed(reached: Floats) -> Line:
    """From the first column to the last of trainings (n, columns), NaN from where one was cut."""
    count = reached.shape[1]
    # Of each column: its constant, its slope over the first and what each step's error adds to it.
    made = np.zeros((count, 2 + count))
    made[0, 1] = 1
    for step in range(1, count):
        rows = reached[np.isfinite(reached[:, : step + 1]).all(1), : step + 1]
        away = rows - rows[0]  # a rung at which all stand alike becomes exactly 0
        away -= away.mean(0)
        before, after, mean = away[:, :-1], away[:, -1], rows.mean(0)
        weights, _, rank, _ = np.linalg.lstsq(before, after, rcond=1e-9)
        missed, freedom = after - before @ weights, len(rows) - int(rank) - 1
        made[step] = weights @ made[:step]
        made[step, 0] += mean[-1] - weights @ mean[:-1]
        made[step, 2 + step] = np.sqrt(missed @ missed / freedom)
    start, slope, *errors = made[-1].tolist()
    return Line(start, slope, float(np.linalg.norm(errors)), freedom)


def _curve(trial: FrozenTrial) -> dict[float, float]:
    """Accuracy by share of the training, as the trial's outcome has it."""
    attrs = trial.user_attrs
    outcome = attrs.get("evaluation") or attrs.get("stopped") or {}
    return dict(outcome.get("curve", ()))

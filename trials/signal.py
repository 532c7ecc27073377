"""What a model of accuracies is told of each training, and how near equals are told apart.

A short training's accuracy is a share of some hundred pictures. Of the probabilities that are given
to the pictures' own classes, the arithmetic mean reads as an accuracy and tells more of each
picture; so does their geometric mean, exp(-loss), which a few mistakes that the network is sure of
decide. The mean of these two is what both searches learn from, moved and stretched to the
accuracies' mean and spread, and what finals compare: on neither truth was it behind the best of its
parts by much, as each of these was on one (``docs/results.md``). Trainings that tell accuracy and
loss alone are known by the mean of the accuracy and exp(-loss), moved likewise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from trials.record import Evaluation

Floats = NDArray[np.float64]

FEWEST = 3  # trainings that a spread is taken of
PROBABILITY = "probability"  # among an evaluation's details


def told(accuracy: Floats, loss: Floats, probability: Floats) -> Floats:
    """A new array (N,), NaN where ``accuracy`` is; the accuracies themselves where a training has
    neither of the others, and where these do not agree with them at all."""
    found, done = accuracy.copy(), np.isfinite(accuracy)
    if done.sum() < FEWEST:
        return found
    seen = accuracy[done]
    geometric = np.exp(-loss[done])
    for merit, share in ((together(probability[done], geometric), 1.0), (geometric, 0.5)):
        if np.isfinite(merit).all():
            if np.cov(seen, merit)[0, 1] > 0:
                moved = seen.mean() + (merit - merit.mean()) * seen.std() / merit.std()
                found[done] = share * moved + (1 - share) * seen
            break
    return found


def measure_of(every: Sequence[Evaluation]) -> Callable[[Sequence[Evaluation]], float]:
    """What several trainings of one network are worth together, in [0, 1], by one measure for all
    of ``every``: half the mean probability of the own class and half exp(-loss) of the mean loss,
    where all of them have both; the latter alone; else the mean accuracy."""

    def arithmetic(some: Sequence[Evaluation]) -> float:
        return fmean(probability_of(one) or 0.0 for one in some)

    def geometric(some: Sequence[Evaluation]) -> float:
        return math.exp(-fmean(one.loss or 0.0 for one in some))

    if any(one.loss is None for one in every):
        return lambda some: fmean(one.accuracy for one in some)
    if any(probability_of(one) is None for one in every):
        return geometric
    return lambda some: together(arithmetic(some), geometric(some))


Mean = TypeVar("Mean", float, Floats)


def together(arithmetic: Mean, geometric: Mean) -> Mean:
    """What both means of the own class's probability come to."""
    return (arithmetic + geometric) / 2


def probability_of(evaluation: Evaluation) -> float | None:
    """The mean probability of the pictures' own classes; None where it is not told."""
    return probability_in(evaluation.details)


def probability_in(details: Mapping[str, Any]) -> float | None:
    """The same of an evaluation's details; those of a user's own may hold anything by its name."""
    found = details.get(PROBABILITY)
    return found if isinstance(found, float) else None

"""What a model of accuracies is told of each training, and how near equals are told apart.

A short training's accuracy is a share of some hundred pictures. The mean probability that is given
to the pictures' own classes (``training.loop.scores``) reads as an accuracy too, of every picture
it tells more, and no few of them make its noise. Where every training has it, it is what is learned
from, moved and stretched to the accuracies' mean and spread; of trainings that tell their losses
alone, the mean of the accuracy and of exp(-loss), moved likewise. Either ranks known networks
better than accuracies do (``docs/results.md``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np

from nas.candidates import Floats
from trials.record import Evaluation

FEWEST = 3  # trainings that a spread is taken of
PROBABILITY = "probability"  # among an evaluation's details


def told(accuracy: Floats, loss: Floats, probability: Floats) -> Floats:
    """A new array (N,), NaN where ``accuracy`` is; the accuracies themselves where a training has
    neither of the others, and where these do not agree with them at all."""
    found, done = accuracy.copy(), np.isfinite(accuracy)
    if done.sum() < FEWEST:
        return found
    seen = accuracy[done]
    for merit, share in ((probability[done], 1.0), (np.exp(-loss[done]), 0.5)):
        if np.isfinite(merit).all():
            if np.cov(seen, merit)[0, 1] > 0:
                moved = seen.mean() + (merit - merit.mean()) * seen.std() / merit.std()
                found[done] = share * moved + (1 - share) * seen
            break
    return found


def measure_of(every: Sequence[Evaluation]) -> Callable[[Sequence[Evaluation]], float]:
    """What several trainings of one network are worth together, in [0, 1], by one measure for all
    of ``every``: the mean probability of the own class, where all of them have it; exp(-loss) of
    the mean loss; else the mean accuracy."""
    if all(probability_of(one) is not None for one in every):
        return lambda some: fmean(probability_of(one) or 0.0 for one in some)
    if all(one.loss is not None for one in every):
        return lambda some: math.exp(-fmean(one.loss or 0.0 for one in some))
    return lambda some: fmean(one.accuracy for one in some)


def probability_of(evaluation: Evaluation) -> float | None:
    """The mean probability of the pictures' own classes; None where it is not told."""
    found = evaluation.details.get(PROBABILITY)
    return found if isinstance(found, float) else None

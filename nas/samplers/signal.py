"""What a model of accuracies is told of each training: its accuracy and its loss together.

A short training's accuracy is a share of some hundred pictures; its loss sees every picture's
probability. Where every training has one, what is learned from is the mean of the accuracy and of
exp(-loss), the geometric mean of the probability given to the pictures' own classes, moved and
stretched to the accuracies' mean and spread: it still reads as an accuracy. By either alone a
single lucky training is named more often (``benchmarks.truth.end_to_end``).
"""

from __future__ import annotations

import numpy as np

from nas.candidates import Floats

FEWEST = 3  # trainings that a spread is taken of


def told(accuracy: Floats, loss: Floats) -> Floats:
    """A new array (N,), NaN where ``accuracy`` is; the accuracies themselves where a training has
    no loss, and where losses and accuracies do not agree at all."""
    found, done = accuracy.copy(), np.isfinite(accuracy)
    if done.sum() < FEWEST or not np.isfinite(loss[done]).all():
        return found
    seen, merit = accuracy[done], np.exp(-loss[done])
    if not np.cov(seen, merit)[0, 1] > 0:
        return found
    found[done] = (seen + seen.mean() + (merit - merit.mean()) * seen.std() / merit.std()) / 2
    return found

"""Latencies as ratios to a reference's, kept with the study.

A machine on which others work is slower at one time than at another, by more than networks differ.
So each network is timed in turn with a reference, until the median ratio of the two is known to
about 1 % or the rounds are spent, and its latency is that ratio times what the reference took at
the beginning: the lower quartile of its timings alone, because other work only ever adds to a
latency.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import optuna

from trials.readings import Measure, Reading, Readings

FEWEST, MOST = 8, 32  # rounds
_PRECISION = 0.01  # relative standard error of the median ratio at which the rounds end
_ALONE = 1  # the occasion on which the reference is timed alone


class Paired(Readings):
    """Readings of networks that are each timed in turn with ``reference``.

    ``measure`` is what one short timing of some passes says, warm-up excluded: it is asked for 8 to
    32 timings of a network and as many of the reference, which is first timed alone. Without it,
    only what is stored can be read. ``about`` as for ``Readings``.

    alone   what the reference took alone; its lower quartile is what counts

    Raises ValueError as ``Readings.read`` does.
    """

    def __init__(
        self,
        study: optuna.Study,
        reference: Any,
        measure: Measure | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        first = Readings(study, measure and partial(_alone, measure), about)
        self.alone = first.read(reference, _ALONE)
        ratio = measure and partial(_ratio, measure, reference, self.alone.low)
        super().__init__(study, ratio, about)


def reference_alone(study: optuna.Study, key: str) -> Reading | None:
    """``Paired.alone`` of a study."""
    return Readings(study).stored(key, _ALONE)


def _alone(measure: Measure, network: Any) -> Reading:
    return _reading([_seconds(measure, network) for _ in range(MOST)])


def _ratio(measure: Measure, reference: Any, base: float, network: Any) -> Reading:
    """Timed in turn with the reference, which takes ``base`` seconds alone."""
    found: list[float] = []
    while True:
        now = _seconds(measure, reference)
        found.append(_seconds(measure, network) / now * base)
        reading = _reading(found)
        if reading.n == MOST or (reading.n >= FEWEST and reading.error <= _PRECISION):
            return reading


def _seconds(measure: Measure, network: Any) -> float:
    seconds = float(measure(network).median)
    if not 0 < seconds < math.inf:
        raise ValueError(f"measured {seconds!r}: a latency is a positive number of seconds")
    return seconds


def _reading(seconds: list[float]) -> Reading:
    """Median and quartiles (linear between the two nearest) of at least one timing."""
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75]).tolist()
    return Reading(median, low, high, len(seconds))

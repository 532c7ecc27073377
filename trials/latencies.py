"""Measured latencies of networks, kept with the study: nothing is measured twice.

A machine on which others work is slower at one time than at another, by more than networks differ.
So each network is timed in turn with a reference (`Paired`), until the median ratio of the two is
known to about 1 % or the rounds are spent, and its latency is that ratio times what the reference
took at the beginning: the lower quartile of its timings alone, because other work only ever adds to
a latency.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import optuna

FEWEST, MOST = 8, 32  # rounds
_PRECISION = 0.01  # relative standard error of the median ratio at which the rounds end
_ALONE = 1  # the occasion on which the reference is timed alone
_ABOUT = "latency"  # the study's attribute that says how latencies are measured


class Reading(NamedTuple):
    """Seconds for one batch: median and quartiles of `n` timings."""

    median: float
    low: float
    high: float
    n: int

    @property
    def error(self) -> float:
        """Standard error of the median, relative: 1.25 σ/√n, σ being the distance of a normal
        variable's quartiles / 1.35."""
        return 0.93 * (self.high - self.low) / math.sqrt(self.n) / self.median


Measure = Callable[[Any], Reading]


def reading_of(seconds: Sequence[float]) -> Reading:
    """Median and quartiles (linear between the two nearest) of at least one timing."""
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75]).tolist()
    return Reading(median, low, high, len(seconds))


class Readings:
    """Latencies by network, from `measure` or from the study's attributes.

    `about` says, as JSON, what the latencies hold for: device, threads, batch. It is stored with
    the first of them, and must be the same while there is more to measure. Without `measure`,
    only what is stored can be read.
    """

    def __init__(
        self,
        study: optuna.Study,
        measure: Measure | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        stored = study.user_attrs
        self.about: dict[str, Any] = stored.get(_ABOUT, about or {})
        self._new = _ABOUT not in stored
        self._agrees = self.about == (about or {})
        self._study = study
        self._measure = measure
        start = f"{_ABOUT} "
        self._known = {
            name: Reading(*value) for name, value in stored.items() if name.startswith(start)
        }

    @property
    def first(self) -> list[Reading]:
        """All that is stored, without what was measured on further occasions."""
        return [one for name, one in self._known.items() if name.endswith(" 0")]

    def stored(self, key: str, occasion: int = 0) -> Reading | None:
        """What the network of that key took; None where it was not measured on that occasion."""
        return self._known.get(_name(key, occasion))

    def read(self, network: Any, occasion: int = 0) -> Reading:
        """The latency of a network with a `key`, measured now where it was not before.

        `occasion` tells repeated measurements of one network apart.

        Raises ValueError where it is to be measured and there is nothing to measure with, or under
        other circumstances than the others, and for a latency that is not above 0.
        """
        name = _name(network.key, occasion)
        if name not in self._known:
            self._known[name] = self._measured(network)
            self._study.set_user_attr(name, list(self._known[name]))
        return self._known[name]

    def _measured(self, network: Any) -> Reading:
        if self._measure is None:
            raise ValueError(
                "the networks that this search begins with have not all been measured: "
                "go on with --resume, without --join"
            )
        if not self._agrees:
            raise ValueError(
                f"these networks were measured with {self.about}, and not all of them yet: go on "
                "under the same circumstances, or choose another --out"
            )
        if self._new:
            self._study.set_user_attr(_ABOUT, self.about)
            self._new = False
        found = self._measure(network)
        reading = Reading(float(found.median), float(found.low), float(found.high), int(found.n))
        if not 0 < reading.low <= reading.median <= reading.high < math.inf:
            raise ValueError(f"measured {reading}: a latency is a positive number of seconds")
        return reading


def _name(key: str, occasion: int) -> str:
    return f"{_ABOUT} {key} {occasion}"


class Paired(Readings):
    """Readings of networks that are each timed in turn with `reference`.

    `measure` is what one short timing of some passes says, warm-up excluded: it is asked for 8 to
    32 timings of a network and as many of the reference, which is first timed alone. Without it,
    only what is stored can be read. `about` as for `Readings`.

    alone   what the reference took alone; its lower quartile is what counts

    Raises ValueError as `Readings.read` does.
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
    """`Paired.alone` of a study."""
    return Readings(study).stored(key, _ALONE)


def _alone(measure: Measure, network: Any) -> Reading:
    return reading_of([_seconds(measure, network) for _ in range(MOST)])


def _ratio(measure: Measure, reference: Any, base: float, network: Any) -> Reading:
    """Timed in turn with the reference, which takes `base` seconds alone."""
    found: list[float] = []
    while True:
        now = _seconds(measure, reference)
        found.append(_seconds(measure, network) / now * base)
        reading = reading_of(found)
        if reading.n == MOST or (reading.n >= FEWEST and reading.error <= _PRECISION):
            return reading


def _seconds(measure: Measure, network: Any) -> float:
    seconds = float(measure(network).median)
    if not 0 < seconds < math.inf:
        raise ValueError(f"measured {seconds!r}: a latency is a positive number of seconds")
    return seconds

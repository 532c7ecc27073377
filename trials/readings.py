"""Measured latencies of networks, kept with the study: nothing is measured twice."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import optuna

_ABOUT = "latency"  # the study's attribute that says how latencies are measured


class Measured(Protocol):
    """Seconds for one batch: median and quartiles of ``n`` passes; ``training.latency.Latency``."""

    @property
    def median(self) -> float:
        """Seconds."""

    @property
    def low(self) -> float:
        """The lower quartile, seconds."""

    @property
    def high(self) -> float:
        """The upper quartile, seconds."""

    @property
    def n(self) -> int:
        """How many passes were timed."""


Measure = Callable[[Any], Measured]


class Reading(NamedTuple):
    """A ``Measured`` as it is stored."""

    median: float
    low: float
    high: float
    n: int

    @property
    def error(self) -> float:
        """Standard error of the median, relative: 1.25 σ/√n, σ being the distance of a normal
        variable's quartiles / 1.35."""
        return 0.93 * (self.high - self.low) / math.sqrt(self.n) / self.median


class Readings:
    """Latencies by network, from ``measure`` or from the study's attributes.

    ``about`` says, as JSON, what the latencies hold for: device, threads, batch. It is stored with
    the first of them, and must be the same while there is more to measure. Without ``measure``,
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
        """The latency of a network with a ``key``, measured now where it was not before.

        ``occasion`` tells repeated measurements of one network apart.

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

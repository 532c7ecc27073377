"""Measured latencies of networks, kept with the study: nothing is measured twice."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import optuna

_ABOUT = "latency"  # the study's attribute that says how latencies are measured
_COMPLETE = "latencies complete"
_ATTEMPTS = 8
_LONGER = 1.1


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
    def steady(self) -> bool:
        """Whether the median is at most 10 % above the lower quartile. Where it is more, other work
        has lengthened about half of the passes: a network by itself takes the same every time."""
        return self.median <= _LONGER * self.low


class Disturbed(ValueError):
    """No measurement of several counts: the machine does other work."""


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
        self.complete: bool = stored.get(_COMPLETE, False)
        self._agrees = self.about == (about or {})
        self._study = study
        self._measure = measure
        start = f"{_ABOUT} "
        self._known = {
            name: Reading(*value) for name, value in stored.items() if name.startswith(start)
        }

    def knows(self, network: Any, occasion: int = 0) -> bool:
        """Whether this network was measured, for the (occasion + 1)-th time."""
        return self._name(network, occasion) in self._known

    def read(
        self, network: Any, occasion: int = 0, undisturbed: Callable[[], bool] = lambda: True
    ) -> Reading:
        """The latency of a network with a ``key``, measured now where it was not before.

        A measurement counts where it is steady and ``undisturbed``, asked after it, is true; else
        it is made again.

        Raises Disturbed where none of eight counts, ValueError where there is nothing to measure
        with, or under other circumstances than the others, and for a latency that is not above 0.
        """
        name = self._name(network, occasion)
        if name not in self._known:
            self.keep(network, occasion, self.settled(network, undisturbed))
        return self._known[name]

    def finish(self) -> None:
        """Note that there is nothing more to measure: the study may be shared now."""
        if not self.complete:
            self.complete = True
            self._study.set_user_attr(_COMPLETE, True)

    def keep(self, network: Any, occasion: int, reading: Reading) -> None:
        """Store a reading with the study."""
        name = self._name(network, occasion)
        self._known[name] = reading
        self._study.set_user_attr(name, list(reading))

    def settled(self, network: Any, undisturbed: Callable[[], bool] = lambda: True) -> Reading:
        """A measurement that counts, not kept; raises as ``read`` does."""
        for _ in range(_ATTEMPTS):
            reading = self.measure(network)
            if reading.steady and undisturbed():
                return reading
        raise Disturbed(
            f"other work disturbs the measuring of latencies, {_ATTEMPTS} times in a row: what is "
            "measured is kept, go on with --resume when the machine is quiet"
        )

    def _name(self, network: Any, occasion: int) -> str:
        return f"{_ABOUT} {network.key} {occasion}"

    def measure(self, network: Any) -> Reading:
        """Now, and without keeping it; raises as ``read`` does."""
        if self._measure is None:
            raise ValueError(
                "the latencies of this search's points have not all been measured: "
                "go on with --resume"
            )
        if not self._agrees:
            raise ValueError(
                f"the points were measured with {self.about}, and not all of them yet: go on "
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

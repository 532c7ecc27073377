"""A measured latency as the cost that all points of a search share."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

from common.units import format_duration, parse_duration, parse_target
from scaling_search.points.point import TOLERANCE, Point, check_ratio
from trials.latencies import Paired

_ROUNDS = 5  # at most, in which a point is solved and measured


class LatencyCost:
    """Seconds, of networks that are each timed in turn with the baseline.

    So the baseline takes what it took alone, and a point's ratio to it does not depend on how busy
    the machine was. The baseline is measured against itself, too, as any other network is: what
    that differs from 1 by is how far a measurement can be believed.
    """

    name = "latency"
    unit = "seconds"
    tolerance = TOLERANCE
    rounds = _ROUNDS

    def __init__(self, readings: Paired, baseline: Any) -> None:
        self._readings = readings
        self._baseline = baseline.key
        self.base = readings.alone
        self.itself = readings.read(baseline)

    def target(self, asked: str) -> float:
        """Seconds, from "12ms", or from "2x", twice the baseline's.

        Raises ValueError for anything else, and for a target within 10 % of the baseline's.
        """
        target = parse_target(asked, self.base.low, parse_duration)
        check_ratio(target / self.base.low)
        return target

    def of(self, point: Point) -> float:
        """The median, in seconds; the baseline's is what it took alone."""
        if point.spec.key == self._baseline:
            return self.base.low
        return (point.latency or self._readings.read(point.spec)).median

    def settled(self, point: Point, target: float) -> Point:
        """The point with its latency."""
        reading = self._readings.read(point.spec)
        return replace(point, latency=reading, error=reading.median / target - 1)

    def text(self, value: float) -> str:
        """``"12.0 ms"``."""
        return format_duration(value)

    def facts(self) -> dict[str, Any]:
        """How it was measured, and how well that can be repeated."""
        errors = [reading.error for reading in self._readings.first]
        return {
            "latency": {
                "measured_on": self._readings.about,
                "baseline": self.base._asdict(),
                "baseline_against_itself": self.itself.median / self.base.low,
                "standard_error": {"median": statistics.median(errors), "largest": max(errors)},
                "tolerance": self.tolerance,
            }
        }

    def described(self) -> str:
        """The same in sentences."""
        about = self._readings.about.items()
        where = ", ".join(f"{name} {value}" for name, value in about if value is not None)
        error = self.facts()["latency"]["standard_error"]
        sentences = [
            "Each network was timed in turn with the baseline"
            + (f" ({where})" if where else "")
            + "; its latency is the median ratio times what the baseline takes alone, "
            f"{self.text(self.base.low)}.",
            f"These ratios have a standard error of {100 * error['median']:.1f} % "
            f"({100 * error['largest']:.1f} % at most); the baseline's to itself was "
            f"{self.itself.median / self.base.low:.3f}.",
            "The family is solved for FLOPs; its latencies were not measured.",
        ]
        return " ".join(sentences)

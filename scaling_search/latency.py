"""A measured latency as the cost that all points of a search share."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from typing import Any

from models.sizes import format_duration, parse_duration, parse_target
from scaling_search.point import TOLERANCE, Point, check_ratio
from scaling_search.readings import Disturbed, Reading, Readings

CALIBRATIONS = 5  # measurements of the baseline before the points; one more comes after them

_ROUNDS = 5  # at most, in which a point is solved and measured
_WIDEST = 0.05  # standard deviation of the calibrations beyond which nothing could be called equal


class Latency:
    """Seconds, as ``readings`` measures them.

    The baseline is measured five times first: the third of its medians is what it takes. Points may
    differ from the target by twice the standard deviation of those medians (of their logarithms),
    and by 3 % where that is less. That says how well a measurement can be repeated, which the
    quartiles of its passes do not. After each point the baseline is measured again: where it takes
    more or less than before by the tolerance, the point's measurement does not count.
    """

    name = "latency"
    unit = "seconds"
    rounds = _ROUNDS

    def __init__(self, readings: Readings, baseline: Any) -> None:
        self._readings = readings
        self._baseline = baseline
        found = _calibrated(readings, baseline)
        self.base: Reading = found[CALIBRATIONS // 2]
        self._control = self.base.median  # the last one
        self.spread = _spread(found)
        self.tolerance = max(TOLERANCE, 2 * self.spread)

    def target(self, asked: str) -> float:
        """Seconds, from "12ms", or from "2x", twice the baseline's.

        Raises ValueError for anything else, and for a target nearer to the baseline than three
        tolerances.
        """
        target = parse_target(asked, self.base.median, parse_duration)
        ratio = target / self.base.median
        check_ratio(ratio)
        if abs(math.log(ratio)) < 3 * self.tolerance:
            raise ValueError(
                f"the target {asked} is {ratio:.3g} times the baseline's latency of "
                f"{self.text(self.base.median)}, and points may differ by "
                f"{100 * self.tolerance:.1f} %: choose a target farther from the baseline"
            )
        return target

    def of(self, point: Point) -> float:
        """The median, in seconds."""
        return self._reading(point).median

    def settled(self, point: Point, target: float) -> Point:
        """The point with its latency."""
        reading = self._reading(point)
        return replace(point, latency=reading, error=reading.median / target - 1)

    def text(self, value: float) -> str:
        """``"12.0 ms"``."""
        return format_duration(value)

    def finish(self) -> None:
        """Measure the baseline once more, when all points have been."""
        self._readings.read(self._baseline, CALIBRATIONS)

    @property
    def drift(self) -> float:
        """How much longer the baseline took after the points than before them, relative."""
        return self._readings.read(self._baseline, CALIBRATIONS).median / self.base.median - 1

    def facts(self) -> dict[str, Any]:
        """How it was measured, and how well that can be repeated."""
        return {
            "latency": {
                "measured_on": self._readings.about,
                "baseline": self.base._asdict(),
                "spread": self.spread,
                "tolerance": self.tolerance,
                "drift": self.drift,
            }
        }

    def described(self) -> str:
        """The same in sentences."""
        about = self._readings.about.items()
        where = ", ".join(f"{name} {value}" for name, value in about if value is not None)
        sentences = [
            f"Latencies are medians of passes ({where})." if where else "Latencies are medians.",
            f"The baseline takes {self.text(self.base.median)}; {CALIBRATIONS} measurements of it "
            f"have a standard deviation of {100 * self.spread:.1f} %, and one after all points "
            f"differed by {100 * self.drift:+.1f} %.",
            "The family is solved for FLOPs; its latencies were not measured.",
        ]
        return " ".join(sentences)

    def _reading(self, point: Point) -> Reading:
        if point.spec.key == self._baseline.key:
            return self.base
        try:
            return self._readings.read(point.spec, 0, self._undisturbed)
        except Disturbed:
            if self._control < self.base.median * (1 - self.tolerance):
                raise ValueError(
                    f"the baseline takes {self.text(self._control)} now, and "
                    f"{self.text(self.base.median)} when the measuring began: other work "
                    "lengthened that; begin anew with another --out"
                ) from None
            raise

    def _undisturbed(self) -> bool:
        self._control = self._readings.measure(self._baseline).median
        return abs(self._control / self.base.median - 1) <= self.tolerance


def _calibrated(readings: Readings, baseline: Any) -> list[Reading]:
    """Five latencies of the baseline, the shortest first.

    Raises ValueError where they have a standard deviation of more than 5 %; none is kept then.
    """
    if not readings.knows(baseline, CALIBRATIONS - 1):
        found = [readings.settled(baseline) for _ in range(CALIBRATIONS)]
        if _spread(found) > _WIDEST:
            raise ValueError(
                f"the baseline's latency cannot be repeated: {CALIBRATIONS} measurements have a "
                f"standard deviation of {100 * _spread(found):.0f} %, {100 * _WIDEST:.0f} % at "
                "most is of use: end other work on the machine, then go on with --resume"
            )
        for occasion, reading in enumerate(found):
            readings.keep(baseline, occasion, reading)
    return sorted(readings.read(baseline, occasion) for occasion in range(CALIBRATIONS))


def _spread(found: list[Reading]) -> float:
    """Standard deviation of the medians' logarithms."""
    return statistics.stdev(math.log(reading.median) for reading in found)

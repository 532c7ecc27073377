"""A measured latency as the cost that all points of a search share."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from models.sizes import format_duration, parse_duration, parse_target
from scaling_search.point import TOLERANCE, Point, check_ratio
from scaling_search.readings import Disturbed, Reading, Readings

CALIBRATIONS = 5  # measurements of the baseline, before anything else

_ROUNDS = 5  # at most, in which a point is solved and measured
_WIDEST = 0.05  # standard deviation of the calibrations beyond which nothing could be called equal
_NORMAL = 1.4826  # standard over median absolute deviation of a normal variable
_GROSS = 0.15  # how far the baseline may be from its latency while another network is measured


class Latency:
    """Seconds, as ``readings`` measures them.

    The baseline is measured five times first: the third of its medians is what it takes. While
    points are solved, they may differ from the target by twice the standard deviation of those
    medians (of their logarithms), and by 3 % where that is less. When all are found, ``checked``
    measures each a second time. What counts is the second measurement, and how well the second
    repeats the first says what can be called equal: ``tolerance`` is then twice the standard
    deviation of a single measurement, and 3 % where that is less. Quartiles of the passes would not
    tell: a network's passes agree with each other better than with those of a minute later.

    After each measurement the baseline is measured again: where that is off by 15 %, other work
    disturbs both, and the measurement is made again.
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
        self.spread = _deviation([reading.median for reading in found])
        self.drift = 0.0
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
        return (point.latency or self._reading(point)).median

    def settled(self, point: Point, target: float) -> Point:
        """The point with its first latency."""
        reading = self._reading(point)
        return replace(point, latency=reading, error=reading.median / target - 1)

    def checked(self, points: Sequence[Point], target: float) -> list[Point]:
        """The points with their second latencies.

        What all of them have become slower or faster by since the first, ``drift``, makes none more
        equal than another and is taken out of their errors.
        """
        second = [self._reading(point, 1) for point in points]
        pairs = zip(points, second, strict=True)
        ratios = [reading.median / self._reading(point).median for point, reading in pairs]
        if len(ratios) > 1:
            self.drift = statistics.median(ratios) - 1
            self.spread = _usual_deviation(ratios) / math.sqrt(2)  # of one measurement, not of two
            self.tolerance = max(TOLERANCE, 2 * self.spread)
        self._readings.finish()
        common = target * (1 + self.drift)
        return [
            replace(point, latency=reading, error=reading.median / common - 1)
            for point, reading in zip(points, second, strict=True)
        ]

    def text(self, value: float) -> str:
        """``"12.0 ms"``."""
        return format_duration(value)

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
            f"The baseline takes {self.text(self.base.median)}. Each point was measured twice, the "
            f"second time when all were found; that one counts. All had changed by "
            f"{100 * self.drift:+.1f} % meanwhile; beside this, a measurement is repeated with a "
            f"standard deviation of {100 * self.spread:.1f} %.",
            "The family is solved for FLOPs; its latencies were not measured.",
        ]
        return " ".join(sentences)

    def _reading(self, point: Point, occasion: int = 0) -> Reading:
        if point.spec.key == self._baseline.key:
            return self.base
        try:
            return self._readings.read(point.spec, occasion, self._undisturbed)
        except Disturbed:
            if self._control < self.base.median * (1 - _GROSS):
                raise ValueError(
                    f"the baseline takes {self.text(self._control)} now, and "
                    f"{self.text(self.base.median)} when the measuring began: other work "
                    "lengthened that; begin anew with another --out"
                ) from None
            raise

    def _undisturbed(self) -> bool:
        self._control = self._readings.measure(self._baseline).median
        return abs(self._control / self.base.median - 1) <= _GROSS


def _calibrated(readings: Readings, baseline: Any) -> list[Reading]:
    """Five latencies of the baseline, the shortest first.

    Raises ValueError where they have a standard deviation of more than 5 %; none is kept then.
    """
    if not readings.knows(baseline, CALIBRATIONS - 1):
        found = [readings.settled(baseline) for _ in range(CALIBRATIONS)]
        spread = _deviation([reading.median for reading in found])
        if spread > _WIDEST:
            raise ValueError(
                f"the baseline's latency cannot be repeated: {CALIBRATIONS} measurements have a "
                f"standard deviation of {100 * spread:.0f} %, {100 * _WIDEST:.0f} % at "
                "most is of use: end other work on the machine, then go on with --resume"
            )
        for occasion, reading in enumerate(found):
            readings.keep(baseline, occasion, reading)
    return sorted(readings.read(baseline, occasion) for occasion in range(CALIBRATIONS))


def _usual_deviation(ratios: Sequence[float]) -> float:
    """Standard deviation of the logarithms of most: from their median, outliers notwithstanding."""
    middle = statistics.median(ratios)
    return _NORMAL * statistics.median(abs(math.log(ratio / middle)) for ratio in ratios)


def _deviation(values: Sequence[float]) -> float:
    """Standard deviation of the logarithms."""
    return statistics.stdev(math.log(value) for value in values)

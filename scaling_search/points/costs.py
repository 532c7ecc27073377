"""The cost that all points of a search share: what any must answer, and FLOPs.

``scaling_search.points.latency`` has the measured one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from common.units import format_size
from scaling_search.points.point import TOLERANCE, Point


class Cost(Protocol):
    """What a search holds equal.

    ``name`` is for people, ``unit`` for JSON; ``tolerance`` is the relative error of a point beyond
    which it is left out; ``rounds`` says how often a point is solved at most.
    """

    @property
    def name(self) -> str:
        """FLOPs or latency."""

    @property
    def unit(self) -> str:
        """macs or seconds."""

    @property
    def tolerance(self) -> float:
        """Relative."""

    @property
    def rounds(self) -> int:
        """At least 1."""

    def of(self, point: Point) -> float:
        """In the unit, of a point that was ``settled``."""

    def settled(self, point: Point, target: float) -> Point:
        """The point with what it costs, and ``error`` relative to the target."""

    def text(self, value: float) -> str:
        """The value as people write it, with its unit."""

    def facts(self) -> dict[str, Any]:
        """What an answer must say of how the cost was come by, JSON."""

    def described(self) -> str:
        """The same in sentences; empty where there is nothing to say."""


@dataclass(frozen=True)
class Flops:
    """Multiply-adds of one image, in closed form."""

    name = "FLOPs"
    unit = "macs"
    tolerance = TOLERANCE
    rounds = 1

    def of(self, point: Point) -> float:
        """Multiply-adds."""
        return point.macs

    def settled(self, point: Point, target: float) -> Point:
        """The point with its error."""
        return replace(point, error=point.macs / target - 1)

    def text(self, value: float) -> str:
        """``"386M FLOPs"``."""
        return f"{format_size(value)} FLOPs"

    def facts(self) -> dict[str, Any]:
        """Nothing to say."""
        return {}

    def described(self) -> str:
        """Nothing to say."""
        return ""

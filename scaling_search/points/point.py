"""A network to train, with what was asked for and what rounding has made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scaling_search.coefficients import Coefficients, Multipliers
from scaling_search.points.scalable import Scalable
from trials.latencies import Reading

TOLERANCE = 0.03  # relative error of the realised cost beyond which a point is dropped
SINGLES = ("depth", "width", "resolution")


@dataclass(frozen=True)
class Point:
    """A network to train.

    nominal   the multipliers that were asked for; their product is the ratio of FLOPs asked for
    spec      the network (for a module factory, its multipliers)
    realised  the multipliers that rounding and adjusting have made of it
    macs      its multiply-adds; ``ratio`` to the baseline's
    error     of its cost, relative to the target: of multiply-adds, or where the points of a search
              share a latency, of ``latency``
    adjusted  what was adjusted, in order: of resolution, layers, widths
    latency   as measured; None where it was not
    """

    nominal: Multipliers
    spec: Any
    realised: Multipliers
    macs: int
    ratio: float
    error: float
    adjusted: tuple[str, ...] = ()
    latency: Reading | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the spec."""
        return {
            "nominal": self.nominal._asdict(),
            "realised": self.realised._asdict(),
            "macs": self.macs,
            "ratio": self.ratio,
            "error": self.error,
            "adjusted": list(self.adjusted),
            "latency": None if self.latency is None else self.latency._asdict(),
        }


def baseline_point(baseline: Scalable) -> Point:
    """The unscaled network as a point."""
    one = Multipliers(1.0, 1.0, 1.0)
    return Point(one, baseline.spec, one, baseline.macs(baseline.spec), 1.0, 0.0)


def multipliers(split: tuple[float, ...], ratio: float) -> Multipliers:
    """d = ratio^s_d, w = ratio^(s_w/2), r = ratio^(s_r/2): nominal cost ratio^(s_d + s_w + s_r)."""
    depth, width, resolution = split
    return Multipliers(ratio**depth, ratio ** (width / 2), ratio ** (resolution / 2))


def direction(baseline: Scalable, coefficients: Coefficients, target: float) -> Multipliers:
    """The multipliers on the coefficients' direction whose nominal cost is the target."""
    ratio = target / baseline.macs(baseline.spec)
    return coefficients.at(coefficients.phi(ratio))


def limited(baseline: Scalable, coefficients: Coefficients, phi: float) -> Multipliers:
    """α^φ, β^φ, γ^φ; where that is beyond the baseline's largest side, that side, and for the same
    nominal cost depth and width grow on in the proportions of α and β.

    Raises ValueError where neither of them grows.
    """
    wanted, most = coefficients.at(phi), baseline.largest / baseline.side
    if wanted.resolution <= most:
        return wanted
    rest = Coefficients(coefficients.alpha, coefficients.beta, 1.0)
    if rest.product**phi <= 1:
        raise ValueError(
            f"phi {phi:g} of {coefficients} asks for more than {baseline.largest} pixels, and "
            "neither depth nor width grows: allow more pixels, or raise one of the others"
        )
    further = rest.phi(wanted.product / most**2)
    return rest.at(further)._replace(resolution=most)


def farness(point: Point) -> float:
    """How far the realised multipliers are from the nominal ones."""
    return distance(point.realised, point.nominal)


def distance(one: Multipliers, other: Multipliers) -> float:
    """Euclidean, in logarithms of the cost that each dimension brings (width and side squared)."""
    weights = (1, 2, 2)
    return math.hypot(*(w * math.log(a / b) for w, a, b in zip(weights, one, other, strict=True)))


def check_ratio(ratio: float) -> None:
    """ValueError unless the ratio differs from 1 by at least 10 %."""
    if not 0 < ratio < math.inf or abs(math.log(ratio)) < math.log(1.1):
        raise ValueError(
            f"the target is {ratio:.3g} times the baseline's cost: choose one at least 10 % above "
            "or below it, such as 2x"
        )

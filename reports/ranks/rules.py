"""The three design rules that ReXNet's authors draw from their curves, held against ours.

Each rule is read as inequalities between means of rank ratios, and an inequality counts as shown
where the 90 % interval of its difference lies above 0. A rule is *held* where all of its
inequalities are shown, *contradicted* where one of them is shown the other way round, and else
*not told* by these networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reports.ranks.study import Floats, Ranks, half_width

SMOOTH, PLAIN = ("ELU", "SiLU"), "ReLU6"
ONE, THREE, DEEP = "1×1 convolution", "3×3 convolution", "bottleneck, depthwise"
_STEEP, _EXPANSION, _NARROW, _WIDE = 1 / 20, 1 / 6, 0.22, 0.8
_AFTER = 0.3  # the ratio as far above 1/6 as 1/20 is below it, nearly
RULES = {
    "expansion": "the first 1×1 convolution of an inverted bottleneck expands at most 6 times",
    "dimension": "a bottleneck with a depthwise convolution has a high ratio of dimensions",
    "smooth": "ELU or SiLU stand after a 1×1 or a 3×3 convolution",
}


class Claim(NamedTuple):
    """An inequality: by how much its left side exceeds its right, and the 90 % interval."""

    rule: str
    says: str
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        if self.low > 0:
            return "held"
        return "contradicted" if self.high < 0 else "not told"


def claims(found: Ranks, tolerance: float) -> list[Claim]:
    """What each rule says of the curves at that tolerance, inequality by inequality."""
    own = _Curves(found, tolerance)
    return [*own.expansion(), *own.dimension(), *own.smooth()]


def verdict(rule: str, told: list[Claim]) -> str:
    """held, contradicted or not told, of all the rule's claims together."""
    all_of = {claim.verdict for claim in told if claim.rule == rule}
    for one in ("contradicted", "not told"):
        if one in all_of:
            return one
    return "held"


class _Curves:
    def __init__(self, found: Ranks, tolerance: float) -> None:
        self._found, self._tolerance = found, tolerance

    def expansion(self) -> Iterator[Claim]:
        """Rank is lost beyond 6, and faster than below it: per doubling 1/6 is a knee."""
        for f in (PLAIN, *SMOOTH):
            steep, six, after = (self._at(ONE, f, ratio) for ratio in (_STEEP, _EXPANSION, _AFTER))
            yield _claim("expansion", f"1×1, {f}: at 1/6 above 1/20", (six, 1), (steep, -1))
            yield _claim(
                "expansion",
                f"1×1, {f}: from 1/20 to 1/6 it rises more than from there to {_AFTER:g}",
                (six, 2), (steep, -1), (after, -1),
            )  # fmt: skip

    def dimension(self) -> Iterator[Claim]:
        """A ratio of 0.8 leaves more rank than 0.22, the two of the authors' verification."""
        for f in (PLAIN, *SMOOTH):
            wide, narrow = self._at(DEEP, f, _WIDE), self._at(DEEP, f, _NARROW)
            yield _claim("dimension", f"depthwise, {f}: at 0.8 above 0.22", (wide, 1), (narrow, -1))

    def smooth(self) -> Iterator[Claim]:
        """They gain rank over ReLU6 there, at the ratio of expansion 6, and more than in a
        bottleneck whose convolution is depthwise."""
        for f in SMOOTH:
            gained = self._gain(DEEP, f)
            for block in (ONE, THREE):
                own = self._gain(block, f)
                yield _claim("smooth", f"{block}, {f}: above {PLAIN}", (own, 1))
                says = f"{block}, {f}: gains more than in a depthwise bottleneck"
                yield _claim("smooth", says, (own, 1), (gained, -1))

    def _at(self, block: str, f: str, ratio: float) -> Floats:
        return self._found.of(block, f, ratio, self._tolerance)

    def _gain(self, block: str, f: str) -> Floats:
        """Paired: both were measured in the same networks."""
        return self._at(block, f, _EXPANSION) - self._at(block, PLAIN, _EXPANSION)


def _claim(rule: str, says: str, *terms: tuple[Floats, float]) -> Claim:
    """A weighted sum of means of independent samples, with its interval."""
    mean = sum(weight * float(values.mean()) for values, weight in terms)
    half = sum((weight * half_width(values)) ** 2 for values, weight in terms) ** 0.5
    return Claim(rule, says, mean, mean - half, mean + half)

"""The network that stands for the answer against others of the same cost: fitted, and measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import t

from scaling_search.coefficients import Multipliers
from scaling_search.points.point import SINGLES
from scaling_search.surface.evidence import ENOUGH_REPEATS, Evidence
from scaling_search.surface.simplex import degrees
from scaling_search.surface.surface import LEVEL, Surface

Verdict = Literal["better", "tie", "worse", "same", "open"]


@dataclass(frozen=True)
class Measured:
    """The mean difference in accuracy over ``n`` pairs of trainings, each pair of one seed, with
    Student's 90 % interval; None where one pair tells no spread."""

    n: int
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """The found scaling against another of the same cost: the fitted difference in accuracy, with
    its paired 90 % interval; a tie where the interval holds 0, "same" where both are one network.

    An interval without 0 is "open" unless it is ``told``: a fit through single trainings takes the
    luck of each for its network's own. ``realised`` are the other's multipliers as trained,
    ``measured`` what the trainings of the two say by themselves: None without a common seed.
    """

    against: str
    realised: Multipliers
    difference: float
    low: float
    high: float
    told: bool = True
    measured: Measured | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether the found scaling is better, worse, not told apart (yet) or no other."""
        if self.low == self.high:  # draws of a difference are equal only where all are 0
            return "same"
        if self.low <= 0 <= self.high:
            return "tie"
        if not self.told:
            return "open"
        return "better" if self.low > 0 else "worse"


def comparisons(surface: Surface, evidence: Evidence, place: int) -> list[Comparison]:
    """The point at ``place`` against each single dimension and the paper's direction.

    Told is a difference where both networks were trained more than once, or where the region rules
    the other out and ``ENOUGH_REPEATS`` more trainings than the surface has coefficients say how
    noisy they are: through fewer it goes whatever their luck was.
    """
    grid, every = evidence.grid, evidence.grid.shares
    trainings = Counter(item.place for item in evidence.at_target)
    sampled = len(evidence.at_target) >= len(degrees()) + ENOUGH_REPEATS
    found = []
    for role in (*SINGLES, "paper"):
        if (other := grid.roles.get(role)) is not None:
            repeated = min(trainings[place], trainings[other]) > 1
            told = repeated or (sampled and surface.rules_out(every[other]))
            difference = surface.difference(every[place], every[other])
            pairs = _paired(evidence, place, other)
            found.append(Comparison(role, grid.points[other].realised, *difference, told, pairs))
    return found


def _paired(evidence: Evidence, place: int, other: int) -> Measured | None:
    """What trainings of one repeat, which share their seed, say of two places."""
    mine, theirs = (
        {item.repeat: float(item.accuracy or 0) for item in evidence.done if item.place == at}
        for at in (place, other)
    )
    pairs = np.array([mine[repeat] - theirs[repeat] for repeat in mine.keys() & theirs.keys()])
    if place == other or not len(pairs):
        return None
    mean, n = float(pairs.mean()), len(pairs)
    if n == 1:
        return Measured(n, mean, None, None)
    half = float(t.ppf((1 + LEVEL) / 2, n - 1) * pairs.std(ddof=1) / n**0.5)
    return Measured(n, mean, mean - half, mean + half)

"""Latencies as arithmetic, in place of a clock."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from models.spec import ArchSpec
from scaling_search.points.scalable import SpecBaseline
from trials.latencies import Reading

SECONDS = 0.007  # of the baseline


class Clock:
    """A ``measure``: depth, width and resolution each to a power, with noise.

    ``fixed`` is the part of the time that only depth changes, ``constant`` the part that nothing
    does. The noise is a function of the network and of how often it was measured.
    """

    def __init__(
        self,
        baseline: SpecBaseline,
        powers: tuple[float, float, float],
        *,
        fixed: float = 0.0,
        constant: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        self.baseline = baseline
        self._powers = powers
        self._fixed, self._constant = fixed, constant
        self._noise = noise
        self.count = 0
        self.said: dict[str, list[Reading]] = {}

    def __call__(self, spec: ArchSpec) -> Reading:
        before = self.said.setdefault(spec.key, [])
        realised = self.baseline.realised(spec)
        work = math.prod(m**p for m, p in zip(realised, self._powers, strict=True))
        moved = self._fixed * realised.depth + (1 - self._fixed) * work
        seconds = SECONDS * (self._constant + (1 - self._constant) * moved)
        rng = np.random.default_rng([int(spec.key, 16) % 2**32, len(before)])
        seconds *= math.exp(rng.normal(0, self._noise))
        before.append(Reading(seconds, seconds, seconds, 4))
        self.count += 1
        return before[-1]


class Notes:
    """As much of a study as keeps readings."""

    def __init__(self) -> None:
        self.user_attrs: dict[str, Any] = {}

    def set_user_attr(self, name: str, value: Any) -> None:
        self.user_attrs[name] = json.loads(json.dumps(value))

"""What a search maximises, and which costs it may pay.

The reward is MnasNet's ACC·(COST/T)^w (arXiv:1807.11626, equation 2) with EfficientNet's w = -0.07
and FLOPs for latency (arXiv:1905.11946, section 4). T is a constant factor there: no T changes
which network has the greatest reward. A budget therefore acts through the window: the costs, from
half of T to T unless told otherwise, that may be trained at all. Other kinds of cost may be limited
beside it: ReXNet's problem (arXiv:2007.00992, section 4) bounds parameters and FLOPs at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from common.plain import make_plain

Number = TypeVar("Number", float, NDArray[np.float64])

Direction = Literal["maximize", "minimize"]
AIMS = ("reward", "hard", "front")


@dataclass(frozen=True)
class Objective:
    """A budget T, an aim and a window.

    aim      reward: ACC·(COST/T)^w, with ``over`` in place of w above T where it is given
             (MnasNet's α and β); hard: ACC·min(1, T/COST) (its alternative α = 0, β = -1);
             front: accuracy and cost apart, the reward naming one network of the front
    low, high   the window, as shares of T
    limits   the greatest cost of other kinds, by their names, that may be trained; no part of the
             reward. None: there are none

    Raises ValueError for an unknown aim, a budget or a limit that is not positive, an empty window.
    """

    budget: float
    aim: str = "reward"
    w: float = -0.07
    over: float | None = None
    low: float = 0.5
    high: float = 1.0
    limits: Mapping[str, float] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        make_plain(self)
        if self.aim not in AIMS:
            raise ValueError(f"aim {self.aim!r} is unknown: choose one of {', '.join(AIMS)}")
        if not 0 < self.budget < float("inf"):
            raise ValueError(f"budget {self.budget} is not a positive number: try 400e6")
        if not 0 <= self.low < self.high:
            raise ValueError(f"window {self.low} to {self.high} is empty: low must be below high")
        object.__setattr__(self, "limits", self._checked_limits())
        for name, exponent in (("w", self.w), ("over", self.over)):
            if exponent is not None and not -10 <= exponent <= 10:
                raise ValueError(f"exponent {name}={exponent} is not a number from -10 to 10")

    def _checked_limits(self) -> dict[str, float] | None:
        for name, most in (self.limits or {}).items():
            if not 0 < most < float("inf"):
                raise ValueError(f"the limit of {name}, {most}, is not a positive number")
        return {name: float(most) for name, most in (self.limits or {}).items()} or None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Objective:
        """The objective that a run's settings hold. Raises ValueError for what is none."""
        stored = settings["objective"]
        try:
            return cls(**stored)
        except TypeError:
            raise ValueError(
                f"{stored!r:.80} is no objective: the run is of another version, or damaged"
            ) from None

    @property
    def directions(self) -> list[Direction]:
        """Optuna's: the value, or accuracy and cost for the aim ``front``."""
        return ["maximize", "minimize"] if self.aim == "front" else ["maximize"]

    def values(self, accuracy: float, cost: float) -> list[float]:
        """What Optuna is told."""
        if self.aim == "front":
            return [accuracy, cost]
        return [self.reward(accuracy, cost)]

    def reward(self, accuracy: Number, cost: Number) -> Number:
        """The scalar that ranks networks, elementwise; accuracy in [0, 1]."""
        return accuracy * self.factor(cost)

    def factor(self, cost: Number) -> Number:
        """What the reward multiplies an accuracy by, known before any training."""
        ratio = np.asarray(cost, dtype=float) / self.budget
        if self.aim == "hard":
            found = np.minimum(1.0, 1 / ratio)
        else:
            above = self.w if self.over is None else self.over
            found = ratio ** np.where(ratio > 1, above, self.w)
        return found if isinstance(cost, np.ndarray) else float(found)

    @property
    def most(self) -> NDArray[np.float64]:
        """(L,) the limits, in their order."""
        return np.array(list((self.limits or {}).values()), dtype=float)

    def admits(
        self, cost: Number, limited: NDArray[np.float64] | None = None
    ) -> bool | NDArray[np.bool_]:
        """Whether a network of that cost may be trained, elementwise. ``limited`` (…, L) is what
        it costs of each kind that is limited; None: only the window counts."""
        inside = (self.low * self.budget <= cost) & (cost <= self.high * self.budget)
        if limited is None:
            return inside
        return np.asarray(inside & (limited <= self.most).all(-1))

    def outside(
        self, cost: NDArray[np.float64], limited: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """How far outside the window, or beyond a limit where that is farther, as a ratio's
        logarithm, elementwise; 0 inside."""
        cost = np.maximum(cost, 1e-300)
        low, high = max(self.low * self.budget, 1e-300), self.high * self.budget
        away: NDArray[np.float64] = np.maximum(np.log(cost / high), np.log(low / cost))
        away = np.maximum(0, away)
        if limited is None or not limited.shape[-1]:
            return away
        found: NDArray[np.float64] = np.log(np.maximum(limited, 1e-300) / self.most).max(-1)
        return np.maximum(away, found)

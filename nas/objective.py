"""What a search maximises, and which costs it may pay.

The reward is MnasNet's ACC·(COST/T)^w (arXiv:1807.11626, equation 2) with EfficientNet's w = -0.07
and FLOPs for latency (arXiv:1905.11946, section 4). T is a constant factor there: no T changes
which network has the greatest reward. A budget therefore acts through the window: the costs, from
half of T to T unless told otherwise, that may be trained at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

    Raises ValueError for an unknown aim, a budget that is not positive, an empty window.
    """

    budget: float
    aim: str = "reward"
    w: float = -0.07
    over: float | None = None
    low: float = 0.5
    high: float = 1.0

    def __post_init__(self) -> None:
        make_plain(self)
        if self.aim not in AIMS:
            raise ValueError(f"aim {self.aim!r} is unknown: choose one of {', '.join(AIMS)}")
        if not 0 < self.budget < float("inf"):
            raise ValueError(f"budget {self.budget} is not a positive number: try 400e6")
        if not 0 <= self.low < self.high:
            raise ValueError(f"window {self.low} to {self.high} is empty: low must be below high")
        for name, exponent in (("w", self.w), ("over", self.over)):
            if exponent is not None and not -10 <= exponent <= 10:
                raise ValueError(f"exponent {name}={exponent} is not a number from -10 to 10")

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

    @property
    def names(self) -> list[str]:
        """What the values are called in Optuna's own tools."""
        return ["accuracy", "cost"] if self.aim == "front" else ["reward"]

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

    def admits(self, cost: Number) -> bool | NDArray[np.bool_]:
        """Whether a network of that cost may be trained, elementwise."""
        return (self.low * self.budget <= cost) & (cost <= self.high * self.budget)

    def outside(self, cost: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far outside the window, as a ratio's logarithm, elementwise; 0 inside."""
        cost = np.maximum(cost, 1e-300)
        low, high = max(self.low * self.budget, 1e-300), self.high * self.budget
        return np.maximum(0, np.maximum(np.log(cost / high), np.log(low / cost)))

"""What a search's trainings say: of which points, and what the surface is fitted to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scaling_search.points.grid import Grid
from scaling_search.surface.regression import VAGUE, NoisePrior, Posterior, Trainings, fit, slope_to
from scaling_search.surface.simplex import Array
from trials.signal import told

MAX_REPEATS = 64
# Of networks trained before, with other seeds. With fewer, noise is a guess (``NoisePrior``) and
# how badly a smooth surface fits, and networks alike that are trained with one seed err alike.
ENOUGH_REPEATS = 5
ACCURACY = "accuracy"  # what is learned from where trainings tell nothing else

_GIVEN_UP = 2  # failures without a success after which a point is left alone


@dataclass(frozen=True)
class Training:
    """One training of a search: the point's place in the grid, its repeat (which stands for the
    seed), its accuracy, None where it failed or still runs (``running``), and, where known, how
    many pictures that was measured on, its loss and the mean probability of the own class."""

    place: int
    repeat: int
    accuracy: float | None
    running: bool = False
    pictures: int | None = None
    loss: float | None = None
    probability: float | None = None


class Evidence:
    """The trainings of a search as the surface and the allocation need them."""

    def __init__(self, grid: Grid, trainings: list[Training]) -> None:
        self.grid = grid
        self.trainings = trainings
        self.done = [item for item in trainings if item.accuracy is not None]
        self.at_target = [item for item in self.done if item.place != 0]

    @property
    def repeats(self) -> int:
        """Trainings at the target's cost of networks that had been trained before."""
        return len(self.at_target) - len({item.place for item in self.at_target})

    @cached_property
    def learned(self) -> Array:
        """What the surface is fitted to, of each of ``done``: the accuracy that is expected by what
        it tells, or its accuracy where trainings tell nothing else, shape (trainings,).

        ``told`` has the spread of the accuracies, their noise included: of few pictures, that is
        too large for the differences between networks. The accuracies' regression on it is not.
        """
        if self.fitted_to == ACCURACY:
            return self._accuracies
        off = self._told - self._told.mean()
        expected: Array = self._accuracies.mean() + self._share * off
        return expected

    @property
    def fitted_to(self) -> str:
        """What of the trainings is ``learned`` from."""
        if (self._told == self._accuracies).all():
            return ACCURACY
        every = all(item.probability is not None for item in self.done)
        return "probability and loss" if every else "accuracy and loss"

    @cached_property
    def _accuracies(self) -> Array:
        return np.array([item.accuracy for item in self.done], dtype=float)

    @cached_property
    def _told(self) -> Array:
        loss, probability = (
            np.array([getattr(item, name) for item in self.done], dtype=float)
            for name in ("loss", "probability")
        )
        return told(self._accuracies, loss, probability)

    @cached_property
    def _share(self) -> float:
        """Of a difference in what is told, the part that is expected in accuracies."""
        if self.fitted_to == ACCURACY:
            return 1.0
        (spread, common), _ = np.cov(self._told, self._accuracies)
        return float(common / spread)

    def mean_at(self, place: int) -> float | None:
        """The mean of what was ``learned`` of a point; None without trainings that ended well."""
        own = self.learned[[item.place == place for item in self.done]]
        return float(own.mean()) if len(own) else None

    def data(self) -> Trainings:
        """The successful trainings at the target's cost."""
        places = [item.place for item in self.at_target]
        points = [self.grid.points[place] for place in places]
        return Trainings(
            self.grid.shares[places],
            np.array([np.log1p(point.error) for point in points]),
            np.array([float(item.repeat) for item in self.at_target]),
            self.learned[[item.place != 0 for item in self.done]],
        )

    def posterior(self, spare_seeds: int = 0) -> Posterior:
        """The surface's posterior; ValueError where nothing was trained at the target's cost."""
        data = self.data()
        level = float(data.accuracy.mean()) if len(data.accuracy) else 0.0
        slope = slope_to(level, self.mean_at(0), self.grid.ratio)
        pictures = [item.pictures for item in self.at_target if item.pictures]
        noise = NoisePrior.of_pictures(level, float(np.mean(pictures))) if pictures else VAGUE
        return fit(data, slope=slope, spare_seeds=spare_seeds, noise=noise.shrunk(self._share))

    def next_repeats(self) -> dict[int, int]:
        """The next repeat of every point that may still be trained; a failed one is used up."""
        begun = Counter(item.place for item in self.trainings)
        good = {item.place for item in self.trainings if item.running or item.accuracy is not None}
        return {
            place: begun[place]
            for place in range(len(self.grid.points))
            if begun[place] < MAX_REPEATS and (place in good or begun[place] < _GIVEN_UP)
        }

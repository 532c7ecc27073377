"""Which training next: where it tells most about the place of the optimum.

Every decision is a function of the seed, the trial's number and the trainings known so far, so that
a resumed search decides as an uninterrupted one would.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from scaling_search.points.grid import Grid
from scaling_search.surface.regression import VAGUE, NoisePrior, Posterior, Trainings, fit, slope_to
from scaling_search.surface.simplex import Array, basis, degrees, mesh
from scaling_search.surface.surface import Surface

MAX_REPEATS = 64
# Of networks trained before, with other seeds. With fewer, noise is a guess (``NoisePrior``) and
# how badly a smooth surface fits, and networks alike that are trained with one seed err alike.
ENOUGH_REPEATS = 5

_SPREAD = 15  # points trained once, far from each other, before the surface decides
_DRAWS = 256  # surfaces drawn for a decision
# Points that lie this many standard deviations below the optimum are not trained again, unless
# nothing else is left: their gain is multiplied by _NEVER.
_RULED_OUT, _NEVER = 3.0, 1e-12
_GIVEN_UP = 2  # failures without a success after which a point is left alone


@dataclass(frozen=True)
class Training:
    """One training of a search: the point's place in the grid, its repeat (which stands for the
    seed), its accuracy, None where it failed or still runs (``running``), and how many pictures
    that was measured on, where it is known."""

    place: int
    repeat: int
    accuracy: float | None
    running: bool = False
    pictures: int | None = None


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

    def data(self) -> Trainings:
        """The successful trainings at the target's cost."""
        places = [item.place for item in self.at_target]
        points = [self.grid.points[place] for place in places]
        return Trainings(
            self.grid.shares[places],
            np.array([np.log1p(point.error) for point in points]),
            np.array([float(item.repeat) for item in self.at_target]),
            np.array([item.accuracy for item in self.at_target], dtype=float),
        )

    def posterior(self, spare_seeds: int = 0) -> Posterior:
        """The surface's posterior; ValueError where nothing was trained at the target's cost."""
        data = self.data()
        base = [item.accuracy or 0.0 for item in self.done if item.place == 0]
        baseline = float(np.mean(base)) if base else None
        level = float(data.accuracy.mean()) if len(data.accuracy) else 0.0
        slope = slope_to(level, baseline, self.grid.ratio)
        pictures = [item.pictures for item in self.at_target if item.pictures]
        noise = NoisePrior.of_pictures(level, float(np.mean(pictures))) if pictures else VAGUE
        return fit(data, slope=slope, spare_seeds=spare_seeds, noise=noise)

    def next_repeats(self) -> dict[int, int]:
        """The next repeat of every point that may still be trained; a failed one is used up."""
        begun = Counter(item.place for item in self.trainings)
        good = {item.place for item in self.trainings if item.running or item.accuracy is not None}
        return {
            place: begun[place]
            for place in range(len(self.grid.points))
            if begun[place] < MAX_REPEATS and (place in good or begun[place] < _GIVEN_UP)
        }


def choose(evidence: Evidence, seed: int, number: int) -> tuple[int, int] | None:
    """(place, repeat) of the training that trial ``number`` should make, None when all are made.

    First the baseline, the single-dimension points and the paper's direction, once each; then
    points far from those begun, until there are 15. From there on the point whose training is
    expected to reduce most the variance of f(x̂) - f(x), x̂ the optimum and x the optima of surfaces
    drawn from the posterior: a linear optimal design for the contrasts between the best and its
    plausible rivals. Points that the surface rules out are not trained. Running trainings count as
    made, with a result that is not known yet.
    """
    repeats = evidence.next_repeats()
    for place in evidence.grid.reserved:
        if repeats.get(place) == 0:
            return place, 0
    places = [place for place in repeats if place != 0]
    if not places:
        return None
    begun = {item.place for item in evidence.trainings} - {0}
    fresh = [place for place in places if repeats[place] == 0]
    if fresh and len(begun) < _SPREAD:
        at = evidence.grid.shares
        return max(fresh, key=lambda place: _gap(at[place], at[sorted(begun)])), 0
    if not evidence.at_target:
        return places[number % len(places)], repeats[places[number % len(places)]]
    gains = _gains(evidence, places, [repeats[place] for place in places], (seed, number))
    place = places[int(np.argmax(gains))]
    return place, repeats[place]


def _gap(one: Array, others: Array) -> float:
    """Distance to the nearest of the others."""
    return float(((others - one) ** 2).sum(axis=1).min()) if len(others) else 0.0


def _gains(
    evidence: Evidence, places: list[int], repeats: list[int], seed: tuple[int, int]
) -> Array:
    """Expected reduction of the contrasts' mean variance by one training of each place."""
    pending = [item for item in evidence.trainings if item.running and item.place != 0]
    last = max(item.repeat for item in evidence.at_target)
    needed = max([*repeats, *(item.repeat for item in pending)])
    posterior = evidence.posterior(spare_seeds=max(0, needed - last))
    surface = Surface(posterior, seed=_stream(seed), draws=_DRAWS)
    at = evidence.grid.shares
    count = posterior.means.shape[1]
    contrasts = np.zeros((len(surface.optima), count))
    contrasts[:, : len(degrees())] = basis(mesh()[surface.optima]) - basis(surface.optimum[None])
    covariance = posterior.covariance
    for item in pending:
        row = _features(at[[item.place]], [item.repeat], count)[0]
        reach = covariance @ row
        covariance = covariance - np.outer(reach, reach) / (posterior.noise + row @ reach)
    rows = _features(at[places], repeats, count)
    reach = rows @ covariance
    spread = posterior.noise + (reach * rows).sum(axis=1)
    gains: Array = ((reach @ contrasts.T) ** 2).mean(axis=1) / spread
    gains[surface.deficit(at[places]) > _RULED_OUT] *= _NEVER
    return gains


def _features(at: Array, repeats: list[int], count: int) -> Array:
    """Rows of the design for trainings at shares (n, 3) with these repeats; shape (n, count)."""
    polynomials = basis(at)
    seeds = np.arange(count - polynomials.shape[1])
    blocks = np.asarray(repeats)[:, None] == seeds
    return np.concatenate([polynomials, blocks.astype(float)], axis=1)


def _stream(seed: tuple[int, int]) -> int:
    return int(np.random.SeedSequence(seed).generate_state(1)[0])

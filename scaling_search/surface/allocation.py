"""Which training next: where it tells most about the place of the optimum.

Every decision is a function of the seed, the trial's number and the trainings known so far, so that
a resumed search decides as an uninterrupted one would.
"""

from __future__ import annotations

import numpy as np

from scaling_search.surface.evidence import Evidence
from scaling_search.surface.simplex import Array, basis, degrees, mesh
from scaling_search.surface.surface import Surface

_SPREAD = 15  # points trained once, far from each other, before the surface decides
_DRAWS = 256  # surfaces drawn for a decision
# Points that lie this many standard deviations below the optimum are not trained again, unless
# nothing else is left: their gain is multiplied by _NEVER.
_RULED_OUT, _NEVER = 3.0, 1e-12


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

"""The first trainings of ``auto``, which have no model to go by."""

from __future__ import annotations

import numpy as np

from nas.belief.features import Groups
from nas.belief.knowledge import NONE, Knowledge
from nas.belief.model import TERMS
from nas.candidates import Candidates, Floats
from nas.samplers.climb import Score
from nas.space import Batch

OPENING = 3  # trainings that are begun before the model decides
_ASSUMED = 0.7, 0.03  # accuracy and its spread before any training
_BOLDNESS = 0.25  # of the prior's standard deviations that the opening's drawn functions have
_SPREAD = 1.2  # the same without a guess; and once ``OPENING`` are begun and none has finished:
# workers must differ


def opening(candidates: Candidates, see: Knowledge, number: int, rng: np.random.Generator) -> Score:
    """What the ``number``-th training maximises: a function drawn from the prior (Thompson
    sampling); for trial 0 the prior's mean.

    Views take turns: the strongest guess, none, and what else may be believed. For the aim
    ``front`` each training has a limit of cost of its own, spread over the window.
    """
    aim, views = candidates.objective, see(candidates.space.random(1, rng))
    strongest, *others = views
    turns = (strongest, NONE, *others[:-1])
    view = turns[number % len(turns)]
    drawn = _linear_draw(views[view].groups, rng)
    free = view == NONE  # nothing guessed: the draw is all there is
    boldness = _SPREAD if free or number >= OPENING else _BOLDNESS
    boldness *= see.doubt(view) ** 0.5
    straight = not free and (number == 0 or aim.aim == "front")
    limit = np.inf
    if aim.aim == "front":
        share = (0.5, 0, 0.75, 0.25, 0.875, 0.125, 0.625, 0.375)[number % 8]
        limit = aim.budget * (aim.low + (aim.high - aim.low) * max(share, 0.1))

    def score(rows: Batch, costs: Floats) -> Floats:
        data = see(rows)[view]
        guess = data.guess
        if not straight:
            for name, weights in drawn.items():
                guess = guess + boldness * data.groups[name] @ weights
        accuracy = _ASSUMED[0] + _ASSUMED[1] * guess
        if aim.aim == "front":
            return np.where(costs <= limit, accuracy, accuracy - costs / limit)
        return aim.reward(accuracy, costs)

    return score


def _linear_draw(groups: Groups, rng: np.random.Generator) -> dict[str, Floats]:
    """Weights of every linear term, drawn from the model's prior."""
    drawn = {}
    for term in TERMS:
        if not term.length and term.group in groups:
            columns = groups[term.group].shape[1]
            sd = np.exp(term.log_variance / 2) / np.sqrt(columns)
            drawn[term.group] = sd * rng.standard_normal(columns)
    return drawn

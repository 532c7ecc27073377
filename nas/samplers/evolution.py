"""Regularised evolution (Real et al. 2019, arXiv:1802.01548, Algorithm 1).

The population is the youngest P finished trials: to age out is to leave that window, so nothing
but the study need be kept. P = 25 and S = 10 where the paper has 100 and 25, because its searches
train 20,000 networks and ours hundreds. A mutation changes one choice to another of its values.
Under the aim ``front`` the soft reward ranks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from nas.candidates import Candidates
from nas.samplers.history import History
from nas.space import Batch

POPULATION = 25
TOURNAMENT = 10


class Evolution:
    def __init__(self, candidates: Candidates) -> None:
        self._space = candidates.space

    def propose(
        self, study: optuna.Study, trial: FrozenTrial, history: History, rng: np.random.Generator
    ) -> Iterator[Batch]:
        while len(history.finished) < POPULATION:
            yield self._space.random(1, rng)[0]
        alive = history.finished[-POPULATION:]
        while True:
            drawn = rng.choice(alive, size=TOURNAMENT, replace=False)
            parent = history.rows[drawn[np.argmax(history.reward[drawn])]]
            yield self._space.mutated(parent[None], rng)[0]

"""What all rivals share: the window, the opening, the rule by which one network is named.

A rival proposes as any method of ``nas.samplers`` does, so it is refused what lies outside of the
window and what was trained before. Who ``knows`` the exact cost chooses among the networks of the
window alone; who does not is shown choices and rewards, chooses among all, and is refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from nas.candidates import Candidates, Floats
from nas.samplers.climb import CLIMBERS, Score, climbed
from nas.samplers.history import History
from nas.space import Batch

REFUSALS = 50  # random networks of the opening that may have been trained already


class Trained(NamedTuple):
    """Finished trainings: rows (N, D); of each, (N,): its accuracy, cost and reward as observed."""

    rows: Batch
    accuracy: Floats
    cost: Floats
    reward: Floats


class Rival(ABC):
    """``opening`` random networks of the window, then what the package suggests."""

    opening: ClassVar[int]

    def __init__(self, candidates: Candidates, knows: bool) -> None:
        self.candidates, self.knows = candidates, knows

    @abstractmethod
    def suggest(self, trained: Trained, rng: np.random.Generator) -> Iterator[Batch]:
        """Rows (D,), best first, as often as asked, admissible or not."""

    @abstractmethod
    def expected(self, trained: Trained) -> Floats:
        """The reward that is expected of each training, (N,): the model's posterior mean, or what
        was observed where the package has no model of it."""

    def propose(
        self, study: optuna.Study, trial: FrozenTrial, history: History, rng: np.random.Generator
    ) -> Iterator[Batch]:
        if len(history.finished) < self.opening:
            yield from self.candidates.draw(REFUSALS, rng)
        else:
            yield from self.suggest(_trained(history), rng)

    def recommend(self, history: History) -> int:
        """Number of the trained network with the best ``expected`` reward; during the opening of
        the best observed."""
        done, trained = history.finished, _trained(history)
        merit = trained.reward if len(done) < self.opening else self.expected(trained)
        return int(history.numbers[done[np.argmax(merit)]])

    @cached_property
    def sight(self) -> Candidates:
        """The networks that the rival chooses from."""
        if self.knows:
            return self.candidates
        aim = replace(self.candidates.objective, low=0.0, high=np.inf)
        return Candidates(self.candidates.space, aim)

    def best_by(self, score: Score, starts: Batch, rng: np.random.Generator) -> Iterator[Batch]:
        """The networks in sight by falling score, searched as auto searches them."""
        return climbed(self.sight, score, starts[:CLIMBERS], rng)


def _trained(history: History) -> Trained:
    done = history.finished
    return Trained(
        history.rows[done], history.accuracy[done], history.cost[done], history.reward[done]
    )

"""The default sampler on a few networks whose accuracies are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from nas.belief.scores import Scores
from nas.candidates import Candidates
from nas.samplers.auto import Auto
from nas.samplers.climb import Score
from nas.samplers.history import History
from nas.space import Batch


class OnPool(Auto):
    """The default sampler, which has only the pool to choose from. ``near`` are networks of it that
    others inherit weights from."""

    def __init__(
        self,
        rows: Batch,
        candidates: Candidates,
        scores: Scores | None,
        near: Batch | None = None,
    ) -> None:
        super().__init__(candidates, near=near, scores=scores)
        self.along = None  # all for one network
        self._rows, self._costs = rows, candidates.costs(rows)

    def propose(
        self, study: optuna.Study, trial: FrozenTrial, history: History, rng: np.random.Generator
    ) -> Iterator[Batch]:
        found = super().propose(study, trial, history, rng)
        yield from (row for row in found if row not in history.taken)

    def _climbed(self, score: Score, starts: Batch, rng: np.random.Generator) -> Iterator[Batch]:
        order = rng.permutation(len(self._rows))  # which of equals comes first
        values = score(self._rows[order], self._costs[order])
        yield from self._rows[order[np.argsort(-values, kind="stable")]]

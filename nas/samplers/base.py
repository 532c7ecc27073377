"""What all samplers share: whole candidates, admissible, new, and the same ones on a replay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from nas.candidates import Candidates, SpaceExhausted
from nas.samplers.history import History, Ledger
from nas.space import Batch

NEARBY = 3  # trials, after the known networks that a search begins with
REDRAWS = 50  # proposals that a method may make before its last one is repaired


class Method(Protocol):
    """A search method: what it would try next, best first, as often as it is asked."""

    def propose(
        self, study: optuna.Study, trial: FrozenTrial, history: History, rng: np.random.Generator
    ) -> Iterator[Batch]:
        """Rows (D,), admissible or not, new or not; decided by the arguments alone."""


class NetworkSampler(optuna.samplers.BaseSampler):
    """A method as an Optuna sampler that proposes only admissible networks, none twice. Of a cost
    that is measured, those are admissible that lie in the window when they are measured.

    A decision depends on the seed, the trial's number and what the study holds, on nothing else:
    a search that was killed and resumed decides the same. When nothing is left to propose, the
    first ``suggest_categorical`` (not ``ask``) raises SpaceExhausted, so that the caller holds
    the trial and can put it back.

    near    rows (D,): the first proposals are those of them that are in the window, or the nearest
            to each where none is, and ``NEARBY`` others of which one or two choices differ; then
            the method goes on
    """

    def __init__(
        self, candidates: Candidates, method: Method, seed: int, near: Sequence[Batch] = ()
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed {seed} is negative: choose 0 or more")
        self.candidates, self.method, self.seed = candidates, method, seed
        self.near = [row for row in near if candidates.admits(row[None])[0]] or list(near)
        self._ledger: Ledger | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return distributions(self.candidates)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        try:
            row = self._choose(study, trial)
        except SpaceExhausted:
            return {}  # sample_independent raises it again
        return dict(self.candidates.space.values(row))

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if param_name not in self.candidates.space.choices:
            raise ValueError(f"{param_name!r} is no choice of space {self.candidates.space.name}")
        return self.candidates.space.values(self._choose(study, trial))[param_name]

    def _choose(self, study: optuna.Study, trial: FrozenTrial) -> Batch:
        if self._ledger is None or not self._ledger.of(study):
            self._ledger = Ledger(self.candidates, study)
        history = History(self.candidates, study, but=trial.number, ledger=self._ledger)
        self.candidates.learn(history.settled)
        rng = np.random.default_rng([self.seed, trial.number])
        if self.near and trial.number < len(self.near) + NEARBY:
            start = self.near[trial.number % len(self.near)][None]
            for _ in range(min(max(0, trial.number - len(self.near) + 1), 2)):
                start = self.candidates.space.mutated(start, rng)
            return self.candidates.nearest(start[0], history.taken, confirmed=True)
        row = self.candidates.space.random(1, rng)[0]
        for row in islice(self.method.propose(study, trial, history, rng), REDRAWS):
            if row not in history.taken and self.candidates.confirms(row):
                return row
        return self.candidates.nearest(row, history.taken, confirmed=True)


def distributions(candidates: Candidates) -> dict[str, BaseDistribution]:
    """The choices as Optuna's distributions."""
    return {
        name: CategoricalDistribution(values) for name, values in candidates.space.choices.items()
    }

"""What all samplers share: whole candidates, admissible, new, and the same ones on a replay."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.samplers.candidates import Candidates, Floats, SpaceExhausted, Taken
from nas.space import Batch
from nas.stopping import Curves

REDRAWS = 50  # proposals that a method may make before its last one is repaired


class History:
    """What a study says about all trials but one, ordered by number.

    rows        (N, D) candidates, of every trial that has all its choices
    numbers     (N,) of the trials
    cost        (N,) as the objective counts it
    accuracy    (N,), NaN for a trial that failed, was stopped or is running
    estimate    (N,), the accuracy, or for a trial that was stopped what its curve lets expect
    error       (N,), the estimate's standard error beyond a training's own noise
    running     (N,) bool

    The costs that trials were begun with stand. ``candidates`` learn them, and those of what was
    refused before.
    """

    def __init__(self, candidates: Candidates, study: optuna.Study, but: int | None = None) -> None:
        trials = [
            trial
            for trial in study.get_trials(deepcopy=False)
            if trial.number != but and set(candidates.space.names) <= trial.params.keys()
        ]
        self.rows = _rows(candidates, trials)
        self.numbers = np.array([trial.number for trial in trials], dtype=np.int64)
        self.cost = self._costs(candidates, trials)
        self.running = np.array([t.state == TrialState.RUNNING for t in trials], dtype=bool)
        told = [t.values[0] if t.state == TrialState.COMPLETE else np.nan for t in trials]
        front = candidates.objective.aim == "front"
        factor = 1.0 if front else candidates.objective.factor(self.cost)
        self.accuracy: Floats = np.array(told, dtype=float) / factor
        self.reward: Floats = candidates.objective.reward(self.accuracy, self.cost)
        self.estimate, self.error = self.accuracy.copy(), np.zeros(len(trials))
        curves = Curves(trials, candidates.objective)
        for i, trial in enumerate(trials):
            if trial.state == TrialState.PRUNED:
                self.estimate[i], self.error[i] = curves.expected(trial)

    def _costs(self, candidates: Candidates, trials: list[FrozenTrial]) -> Floats:
        begun: list[float] = [t.user_attrs.get("cost", {}).get("cost", np.nan) for t in trials]
        costs: Floats = np.array(begun, dtype=float)
        known = np.isfinite(costs)
        refused = [one for trial in trials for one in trial.user_attrs.get("refused", ())]
        rows = [one["row"] for one in refused]
        candidates.learn(
            np.vstack([self.rows[known], np.array(rows, np.int64).reshape(-1, self.rows.shape[1])]),
            np.append(costs[known], [one["cost"] for one in refused]),
        )
        if not known.all():
            costs[~known] = candidates.costs(self.rows[~known])
        return costs

    @property
    def finished(self) -> NDArray[np.int64]:
        """Positions of the trials that have an accuracy."""
        return np.flatnonzero(np.isfinite(self.accuracy))

    @property
    def known(self) -> NDArray[np.int64]:
        """Positions of those that have an estimate of it."""
        return np.flatnonzero(np.isfinite(self.estimate))


def _rows(candidates: Candidates, trials: list[FrozenTrial]) -> Batch:
    choices = candidates.space.choices
    out = np.empty((len(trials), len(choices)), dtype=np.int64)
    for d, (name, values) in enumerate(choices.items()):
        position = {value: i for i, value in enumerate(values)}
        out[:, d] = [position[trial.params[name]] for trial in trials]
    return out


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
    """

    def __init__(self, candidates: Candidates, method: Method, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"seed {seed} is negative: choose 0 or more")
        self.candidates, self.method, self.seed = candidates, method, seed

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
        history = History(self.candidates, study, but=trial.number)
        taken = Taken(self.candidates, history.rows)
        rng = np.random.default_rng([self.seed, trial.number])
        row = self.candidates.space.random(1, rng)[0]
        for row in islice(self.method.propose(study, trial, history, rng), REDRAWS):
            if row not in taken and self.candidates.confirms(row):
                return row
        return self.candidates.nearest(row, taken, confirmed=True)


def distributions(candidates: Candidates) -> dict[str, BaseDistribution]:
    """The choices as Optuna's distributions."""
    return {
        name: CategoricalDistribution(values) for name, values in candidates.space.choices.items()
    }

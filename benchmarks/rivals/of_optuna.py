"""Optuna's TPE and its Gaussian process; choices are integers, as each menu has an order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
import torch
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import TrialState, create_trial

from benchmarks.rivals.base import Rival, Trained
from nas.candidates import Candidates, Floats
from nas.space import Batch, Space

OUTSIDE = "outside"  # the constraint: how far from the window, at most 0


def places(space: Space) -> dict[str, BaseDistribution]:
    """Each choice as the integers from 0 to the last position of its menu."""
    return {name: IntDistribution(0, len(menu) - 1) for name, menu in space.choices.items()}


class Tpe(Rival):
    """TPE at Optuna's defaults, multivariate. Who ``knows`` the cost tells every refused network as
    a pruned trial with a constraint that is violated by the distance from the window: TPE learns
    where the window is without a training. The best seen is named: TPE has no mean."""

    opening = 10

    def __init__(self, candidates: Candidates, knows: bool) -> None:
        super().__init__(candidates, knows)
        self._refused: list[Batch] = []

    def suggest(self, trained: Trained, rng: np.random.Generator) -> Iterator[Batch]:
        sampler = TPESampler(seed=int(rng.integers(2**31)), multivariate=True)
        study = shown(self.candidates.space, trained, sampler)
        if self.knows:
            for row in self._refused:
                self._tell_refused(study, row)
        while True:
            row = asked(study, self.candidates.space)
            yield row
            if self.knows and not self.candidates.admits(row[None])[0]:
                self._refused.append(row)
                self._tell_refused(study, row)

    def expected(self, trained: Trained) -> Floats:
        return trained.reward

    def _tell_refused(self, study: optuna.Study, row: Batch) -> None:
        away = float(min(self.candidates.outside(row[None])[0], 100.0))  # no table has it: infinite
        space = self.candidates.space
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED, params=named(space, row), distributions=places(space),
                constraints={OUTSIDE: away},
            )
        )  # fmt: skip


class Gp(Rival):
    """``GPSampler`` on rewards, its acquisition function and its optimiser; who ``knows`` the cost
    has the same function maximised over the networks of the window. The best posterior mean is
    named."""

    opening = 10

    def suggest(self, trained: Trained, rng: np.random.Generator) -> Iterator[Batch]:
        space, seed = self.candidates.space, int(rng.integers(2**31))
        if not self.knows:
            yield asked(shown(space, trained, GPSampler(seed=seed)), space)
            return
        starts = trained.rows[np.argsort(-trained.reward, kind="stable")]
        acquisition, menus = _fitted(space, trained, seed)

        def score(rows: Batch, costs: Floats) -> Floats:
            found: Floats = acquisition.eval_acqf_no_grad(_inputs(rows, menus))
            return found

        yield from self.best_by(score, starts, rng)

    def expected(self, trained: Trained) -> Floats:
        acquisition, menus = _fitted(self.candidates.space, trained, seed=0)
        with torch.no_grad():
            mean, _ = acquisition._gpr.posterior(torch.from_numpy(_inputs(trained.rows, menus)))
        found: Floats = mean.numpy()  # standardised: the order is all that counts
        return found


def shown(space: Space, trained: Trained, sampler: BaseSampler) -> optuna.Study:
    """A study of places that holds these trainings, told their rewards."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for row, reward in zip(trained.rows, trained.reward, strict=True):
        study.add_trial(
            create_trial(
                params=named(space, row), distributions=places(space), value=float(reward),
                constraints={OUTSIDE: 0.0} if isinstance(sampler, TPESampler) else None,
            )
        )  # fmt: skip
    return study


def named(space: Space, row: Batch) -> dict[str, int]:
    return dict(zip(space.names, row.tolist(), strict=True))


def asked(study: optuna.Study, space: Space) -> Batch:
    """What the study's sampler suggests; the trial is put away, as it may be refused."""
    trial = study.ask(places(space))
    row = np.array([trial.params[name] for name in space.names])
    study.tell(trial, state=TrialState.FAIL)
    return row


def _fitted(space: Space, trained: Trained, seed: int) -> tuple[Any, list[Floats]]:
    """The acquisition function that a fresh ``GPSampler`` makes of these trainings, and for each
    choice the inputs that it gives to the menu's places."""
    sampler = _Heard(seed=seed)
    asked(shown(space, trained, sampler), space)
    return sampler.acquisition, sampler.menus


def _inputs(rows: Batch, menus: list[Floats]) -> Floats:
    return np.stack([menu[rows[:, d]] for d, menu in enumerate(menus)], axis=1)


class _Heard(GPSampler):
    """Keeps its acquisition function, which Optuna lets one optimise by oneself
    (``GPSampler._optimize_acqf``), and suggests nothing of worth."""

    acquisition: Any
    menus: list[Floats]

    def _optimize_acqf(self, acqf: Any, best_params: Any) -> Any:
        self.acquisition = acqf
        self.menus = acqf.search_space.get_choices_of_discrete_params()
        return best_params[0]

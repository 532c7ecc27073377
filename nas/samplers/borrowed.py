"""Optuna's own samplers as methods, at its defaults where nothing else is said.

They are asked for all choices at once, so that TPE is multivariate under every aim.
NSGA-II and NSGA-III keep populations of 20 (Optuna: 50): a search of 300 trainings then has
fifteen generations. TPE and GP see running trials (``constant_liar``; GP's own rule), so workers
do not propose alike. GP is shown choices that are ordered, as numbers are, by their places, as
integers: of categories its kernel knows only whether they are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, create_trial

from nas.candidates import Candidates
from nas.samplers.base import distributions
from nas.samplers.history import History
from nas.space import Batch

POPULATION = 20

MAKERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=POPULATION),
    "nsga3": lambda seed: optuna.samplers.NSGAIIISampler(seed=seed, population_size=POPULATION),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}


class Borrowed:
    """One of ``MAKERS``, made anew for each trial: its only memory is the study."""

    def __init__(self, candidates: Candidates, name: str) -> None:
        self._candidates, self._name = candidates, name

    def propose(
        self, study: optuna.Study, trial: FrozenTrial, history: History, rng: np.random.Generator
    ) -> Iterator[Batch]:
        inner = MAKERS[self._name](int(rng.integers(2**31)))
        space = self._candidates.space
        if self._name == "gp":
            yield self._by_places(inner, study, trial)
            return  # a second draw would cost a second fit
        asked = {
            name: one for name, one in distributions(self._candidates).items() if not one.single()
        }
        fixed = {name: menu[0] for name, menu in space.choices.items()}
        while True:
            drawn = inner.sample_relative(study, trial, asked)
            for name in [name for name in asked if name not in drawn]:  # start-up, mutated genes
                drawn[name] = inner.sample_independent(study, trial, name, asked[name])
            yield space.indices([fixed | drawn])[0]

    def _by_places(self, inner: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> Batch:
        """What ``inner`` proposes of a study like this one, of ordered choices' places."""
        menus = self._candidates.space.choices
        asked = {name: _places(menu) for name, menu in menus.items() if len(menu) > 1}
        shown = optuna.create_study(directions=study.directions, sampler=inner)
        for one in study.get_trials(deepcopy=False):
            if one.number == trial.number or not asked.keys() <= one.params.keys():
                continue
            places = {name: menus[name].index(one.params[name]) for name in asked}
            shown.add_trial(
                create_trial(state=one.state, params=places, distributions=asked, values=one.values)
            )
        drawn = shown.ask(asked).params
        return np.array([int(drawn.get(name, 0)) for name in menus])


def _places(menu: Sequence[Any]) -> BaseDistribution:
    """Of a menu's places: integers where they are in an order."""
    if all(isinstance(value, int | float) for value in menu) and list(menu) == sorted(menu):
        return IntDistribution(0, len(menu) - 1)
    return CategoricalDistribution(range(len(menu)))

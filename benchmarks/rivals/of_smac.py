"""SMAC3's random forest, by its facade for hyperparameters, asked and told."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from ConfigSpace import Configuration, ConfigurationSpace, Integer
from smac import HyperparameterOptimizationFacade as Facade
from smac import Scenario
from smac.acquisition.function import EI
from smac.main.config_selector import ConfigSelector
from smac.model.random_forest.random_forest import RandomForest
from smac.runhistory.dataclasses import TrialInfo, TrialValue

from benchmarks.rivals.base import Rival, Trained
from nas.candidates import Candidates, Floats
from nas.samplers.base import REDRAWS
from nas.space import Batch

CHALLENGERS = 1000  # random ones, beside those that local search finds; SMAC's default is 10,000
TRIALS = 10_000  # that SMAC is told of; it stops none


class Smac(Rival):
    """SMAC minimises what is lacking to the reward of a faultless network at the window's lower
    edge. Who ``knows`` the cost has an acquisition function that is 0 outside of the window. Made
    anew for each training, as SMAC goes on with the suggestions of one model until they are used
    up. The best mean of the forest is named."""

    opening = 10

    def suggest(self, trained: Trained, rng: np.random.Generator) -> Iterator[Batch]:
        with tempfile.TemporaryDirectory() as folder:
            facade, _ = self._made(trained, int(rng.integers(2**31)), folder)
            while True:
                yield self._row(facade.ask().config)

    def expected(self, trained: Trained) -> Floats:
        with tempfile.TemporaryDirectory() as folder:
            facade, (model, encoder) = self._made(trained, 0, folder)
            model.train(*encoder.transform())
            asked = np.array([self._config(facade, row).get_array() for row in trained.rows])
            mean, _ = model.predict_marginalized(asked)
        return -np.asarray(mean)[:, 0]

    def _made(self, trained: Trained, seed: int, folder: str) -> tuple[Any, tuple[Any, Any]]:
        """A facade that was told these trainings; its model and what makes its data of them."""
        menus = self.candidates.space.choices
        space = ConfigurationSpace(seed=seed)
        space.add([Integer(name, (0, len(menu) - 1)) for name, menu in menus.items()])
        scenario = Scenario(
            space, output_directory=folder, deterministic=True, n_trials=TRIALS, seed=seed
        )
        model, encoder = _forest(scenario), Facade.get_runhistory_encoder(scenario)
        facade = Facade(
            scenario,
            _unused,
            model=model,
            runhistory_encoder=encoder,
            acquisition_maximizer=Facade.get_acquisition_maximizer(
                scenario, challengers=CHALLENGERS
            ),
            acquisition_function=_Inside(self.candidates) if self.knows else None,
            initial_design=Facade.get_initial_design(scenario, n_configs=0),
            config_selector=ConfigSelector(scenario, retrain_after=REDRAWS),
            logging_level=False,
            overwrite=True,
        )
        aim = self.candidates.objective
        most = float(aim.factor(max(aim.low, 1e-3) * aim.budget))
        for row, reward in zip(trained.rows, trained.reward, strict=True):
            info = TrialInfo(self._config(facade, row), seed=0)  # of what is deterministic
            facade.tell(info, TrialValue(cost=most - float(reward)), save=False)
        return facade, (model, encoder)

    def _config(self, facade: Any, row: Batch) -> Configuration:
        names = self.candidates.space.names
        values = dict(zip(names, row.tolist(), strict=True))
        return Configuration(facade.scenario.configspace, values=values)

    def _row(self, config: Configuration) -> Batch:
        return np.array([int(config[name]) for name in self.candidates.space.names])


class _Inside(EI):  # type: ignore[misc]
    """SMAC's own expected improvement, of networks in the window alone."""

    def __init__(self, candidates: Candidates) -> None:
        super().__init__(log=True)
        self._candidates = candidates

    def _compute(self, X: Floats) -> Floats:
        rows = np.rint(X * (self._candidates.space.sizes - 1)).astype(np.int64)
        found: Floats = super()._compute(X)
        return np.where(self._candidates.admits(rows)[:, None], found, 0.0)


def _forest(scenario: Scenario) -> RandomForest:
    """The facade's model, on one thread: its own makes as many as there are cores for each tree."""
    return RandomForest(
        scenario.configspace,
        log_y=True,
        n_trees=10,
        ratio_features=1.0,
        min_samples_split=2,
        min_samples_leaf=1,
        seed=scenario.seed,
        n_jobs=1,
    )


def _unused(config: Configuration, seed: int = 0) -> float:
    raise RuntimeError("SMAC was to be asked and told, and ran a training itself")

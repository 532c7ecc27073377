"""Propose an interrupted trial anew under its own number, as if it had not been interrupted."""

from __future__ import annotations

import copy
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial


def redraw(study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
    """A live trial for a stored, unfinished one that may have some of its parameters already.

    Optuna would skip the stored ones, and a sampler drawing in sequence would then give the
    others different values than it would have without the interruption. So every parameter is
    drawn again, and where one is stored, the stored value stands.
    """
    return _Redrawn(study, trial)


class _Redrawn(optuna.Trial):
    def __init__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        super().__init__(study, trial._trial_id)
        self._stored_params = dict(trial.params)
        blank = copy.copy(trial)  # some storages hand out the very object they keep
        blank.params, blank.distributions = {}, {}
        self._cached_frozen_trial = blank
        self.storage = cast(BaseStorage, _KeepingParams(self.storage, set(trial.params)))

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        drawn = super()._suggest(name, distribution)
        value = self._stored_params.get(name, drawn)
        self._cached_frozen_trial.params[name] = value
        return value


class _KeepingParams:
    """A storage that leaves stored parameters alone: a database refuses to write them twice."""

    def __init__(self, storage: BaseStorage, stored: set[str]) -> None:
        self._storage = storage
        self._stored = stored

    def set_trial_param(
        self, trial_id: int, name: str, value: float, distribution: BaseDistribution
    ) -> None:
        if name not in self._stored:
            self._storage.set_trial_param(trial_id, name, value, distribution)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

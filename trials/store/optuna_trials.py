"""What Optuna's public interface cannot do with a trial: find it by number, put it back, redraw it.

Here alone does the project use names of Optuna's that begin with an underscore. They hold for the
versions that are `TESTED`, and pyproject.toml asks for no others.
"""

from __future__ import annotations

import copy
from collections import deque
from typing import Any, Protocol, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

TESTED = ">=4.2,<5.1"


def stored(study: optuna.Study, number: int) -> FrozenTrial:
    """The trial of that number as it is stored now, without listing the others."""
    return study._storage.get_trial(_id(study, number))


def set_attr(study: optuna.Study, number: int, key: str, value: Any) -> None:
    """Set a user attribute. Raises RuntimeError where the trial is finished."""
    study._storage.set_trial_user_attr(_id(study, number), key, value)


def set_value_at(study: optuna.Study, number: int, step: int, value: float) -> None:
    """Set an intermediate value. Raises RuntimeError where the trial is finished."""
    study._storage.set_trial_intermediate_value(_id(study, number), step, value)


def _id(study: optuna.Study, number: int) -> int:
    return study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)


class Queue(Protocol):
    """The numbers of a study, handed out one by one."""

    def started(self) -> int:
        """How many trials were ever begun: the next one's number."""

    def ask(self) -> optuna.Trial:
        """A new trial, or one that was put back."""

    def put_back(self, trial: optuna.Trial) -> None:
        """Return a trial, so that the next `ask` hands its number out."""


class Listed:
    """Of a study with other drivers: looks at all its trials each time."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def started(self) -> int:
        states = [trial.state for trial in self._study.get_trials(deepcopy=False)]
        return len(states) - states.count(TrialState.WAITING)

    def ask(self) -> optuna.Trial:
        return self._study.ask()

    def put_back(self, trial: optuna.Trial) -> None:
        self._study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)


class Counted:
    """Of a study that this driver has to itself: looks at its trials once, and counts from there.

    Listing them for every trial, as Optuna's `ask` does as well in search of those that wait, would
    make a trial dearer the more there are.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        trials = study.get_trials(deepcopy=False)
        self._waiting = deque(t.number for t in trials if t.state == TrialState.WAITING)
        self._started = len(trials) - len(self._waiting)

    def started(self) -> int:
        return self._started

    def ask(self) -> optuna.Trial:
        study = self._study
        if self._waiting:
            trial_id = _id(study, self._waiting.popleft())
            study._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        else:
            trial_id = study._storage.create_new_trial(study._study_id)
        self._started += 1
        study._thread_local.cached_all_trials = None  # samplers would see the last ask's
        return optuna.Trial(study, trial_id)

    def put_back(self, trial: optuna.Trial) -> None:
        self._study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        self._waiting.append(trial.number)
        self._started -= 1


def redraw(study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
    """A live trial for a stored, unfinished one that may have some of its parameters already.

    It is proposed anew under its own number, as if it had not been interrupted. Optuna would skip
    the stored parameters, and a sampler drawing in sequence would then give the others different
    values than it would have without the interruption. So every parameter is drawn again, and where
    one is stored, the stored value stands.
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

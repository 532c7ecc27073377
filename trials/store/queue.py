"""Which trial a driver begins next: one that was put back, or a new one."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import optuna
from optuna.trial import TrialState


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
        self._waiting = deque(t._trial_id for t in trials if t.state == TrialState.WAITING)
        self._started = len(trials) - len(self._waiting)

    def started(self) -> int:
        return self._started

    def ask(self) -> optuna.Trial:
        study = self._study
        if self._waiting:
            trial_id = self._waiting.popleft()
            study._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        else:
            trial_id = study._storage.create_new_trial(study._study_id)
        self._started += 1
        study._thread_local.cached_all_trials = None  # samplers would see the last ask's
        return optuna.Trial(study, trial_id)

    def put_back(self, trial: optuna.Trial) -> None:
        self._study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        self._waiting.append(trial._trial_id)
        self._started -= 1

"""What samplers remember of a study is what they would read of it anew."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from nas.candidates import Candidates
from nas.objective import Objective
from nas.samplers import sampler, tell
from nas.samplers.history import History, Ledger
from nas.space import Choices, space

MBCONV = space("mbconv")


@pytest.mark.parametrize("aim", ["reward", "front"])
def test_a_ledger_says_what_the_study_says(aim: str) -> None:
    """Three trials at a time, ending out of order, some failed, some without all choices."""
    objective = Objective(4e8, aim)
    candidates = Candidates(MBCONV, objective)
    study = optuna.create_study(directions=objective.directions)
    ledger, rng = Ledger(candidates, study), np.random.default_rng(0)
    running: list[optuna.Trial] = []
    for number in range(30):
        trial = study.ask()
        for name in list(MBCONV.choices)[: None if number % 5 else 3]:
            trial.suggest_categorical(name, MBCONV.choices[name])
        running.append(trial)
        if len(running) == 3:
            ended = running.pop(int(rng.integers(3)))
            failed = ended.number % 7 == 6
            if failed:
                study.tell(ended, state=TrialState.FAIL)
            else:
                tell(study, ended, objective, 0.5 + number / 100, 3e8)
        remembered = History(candidates, study, but=trial.number, ledger=ledger)
        anew = History(candidates, study, but=trial.number)
        for name in ("rows", "numbers", "cost", "accuracy", "running", "reward", "finished"):
            np.testing.assert_array_equal(getattr(remembered, name), getattr(anew, name))
        assert all(row in remembered.taken for row in anew.rows)
        assert not any(row in remembered.taken for row in MBCONV.random(3, rng))


def test_what_has_ended_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = Objective(4e8)
    study = optuna.create_study(directions=objective.directions)
    study.sampler = sampler("random", MBCONV, objective, seed=0)
    read: list[int] = []
    whole = Ledger._read
    monkeypatch.setattr(
        Ledger, "_read", lambda self, trial: read.append(trial.number) or whole(self, trial)
    )
    for _ in range(6):
        trial = study.ask()
        for name, values in MBCONV.choices.items():
            trial.suggest_categorical(name, values)
        tell(study, trial, objective, 0.5, 3e8)
    assert read == [0, *(n for number in range(1, 6) for n in (number - 1, number))]


def test_one_sampler_on_two_studies() -> None:
    """What is remembered of one study is not taken for the other's."""
    objective = Objective(4e8)
    shared = sampler("evolution", MBCONV, objective, seed=0)
    first, second = (drawn(shared, objective) for _ in range(2))
    assert first == second == drawn(sampler("evolution", MBCONV, objective, seed=0), objective)


def drawn(method: optuna.samplers.BaseSampler, objective: Objective) -> list[Choices]:
    study = optuna.create_study(directions=objective.directions, sampler=method)
    for _ in range(30):
        trial = study.ask()
        for name, values in MBCONV.choices.items():
            trial.suggest_categorical(name, values)
        tell(study, trial, objective, 0.5 + trial.number / 100, 3e8)
    return [trial.params for trial in study.get_trials(deepcopy=False)]

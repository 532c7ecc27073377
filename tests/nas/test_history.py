"""What samplers remember of a study is what they would read of it anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from nas.candidates import Candidates, Floats
from nas.costing import ClosedForm
from nas.objective import AIMS, Objective
from nas.samplers import outcome, sampler, tell
from nas.samplers.base import distributions
from nas.samplers.history import History, Ledger
from nas.space import Batch, Choices, space

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
        tell(study, proposed(study), objective, 0.5, 3e8)
    assert read == [0, *(n for number in range(1, 6) for n in (number - 1, number))]


def proposed(study: optuna.Study) -> optuna.Trial:
    trial = study.ask()
    for name, values in MBCONV.choices.items():
        trial.suggest_categorical(name, values)
    return trial


def study_of(accuracies: list[float], objective: Objective, **attrs: object) -> optuna.Study:
    """Networks that were trained at a cost of 3e8."""
    study = optuna.create_study(directions=objective.directions)
    menus = distributions(Candidates(MBCONV, objective))
    rows = MBCONV.random(len(accuracies), np.random.default_rng(0))
    for row, accuracy in zip(rows, accuracies, strict=True):
        made = create_trial(
            params=MBCONV.values(row),
            distributions=menus,
            values=objective.values(accuracy, 3e8),
            user_attrs={**outcome(accuracy, 3e8), **attrs},
        )
        study.add_trial(made)
    return study


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), st.sampled_from(AIMS))
def test_accuracies_are_the_stored_ones_to_the_last_bit(seen: list[float], aim: str) -> None:
    objective = Objective(4e8, aim)
    history = History(Candidates(MBCONV, objective), study_of(seen, objective))
    assert history.accuracy.tolist() == seen
    assert history.reward.tolist() == [objective.reward(one, 3e8) for one in seen]


class Watched(ClosedForm):
    """Notes the costs that it is told of."""

    def __init__(self) -> None:
        super().__init__(MBCONV, "macs")
        self.told: list[list[float]] = []

    def learn(self, settled: Callable[[], tuple[Batch, Floats]]) -> None:
        self.told.append(settled()[1].tolist())


def test_reading_a_study_changes_no_candidates() -> None:
    """Who begins a proposal tells the costing; a history alone leaves all as it was."""
    objective, costing = Objective(4e8), Watched()
    candidates = Candidates(MBCONV, objective, costing)
    refused = {"row": [0] * len(MBCONV.choices), "cost": 9e8}
    study = study_of([0.5, 0.6], objective, refused=[refused])
    candidates.refused.append(refused)
    assert len(History(candidates, study).rows) == 2
    assert candidates.refused == [refused]
    assert costing.told == []

    study.sampler = sampler("random", MBCONV, objective, seed=0, cost=costing)
    proposed(study)
    assert costing.told[-1] == [3e8, 3e8, 9e8, 9e8]


def test_a_training_that_says_nothing_of_its_accuracy_is_refused() -> None:
    """Left out, it would keep a sampler at its first guesses for good."""
    objective = Objective(4e8)
    study = optuna.create_study(direction="maximize")
    study.sampler = sampler("auto", MBCONV, objective, seed=0)
    study.tell(proposed(study), 0.5)
    with pytest.raises(ValueError, match=r"trial 0 is complete and stores no accuracy.*tell"):
        proposed(study)


def test_one_sampler_on_two_studies() -> None:
    """What is remembered of one study is not taken for the other's."""
    objective = Objective(4e8)
    shared = sampler("evolution", MBCONV, objective, seed=0)
    first, second = (drawn(shared, objective) for _ in range(2))
    assert first == second == drawn(sampler("evolution", MBCONV, objective, seed=0), objective)


def drawn(method: optuna.samplers.BaseSampler, objective: Objective) -> list[Choices]:
    study = optuna.create_study(directions=objective.directions, sampler=method)
    for _ in range(30):
        trial = proposed(study)
        tell(study, trial, objective, 0.5 + trial.number / 100, 3e8)
    return [trial.params for trial in study.get_trials(deepcopy=False)]

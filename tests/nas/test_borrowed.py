"""Optuna's Gaussian process is shown ordered choices as integers."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from tests.nas.test_samplers import create, middle, step, tiny


def test_gp_sees_places_and_proposes_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every other trial, the failed ones too, as a study of its own would have them."""
    seen: list[tuple[list[FrozenTrial], dict[str, BaseDistribution]]] = []
    ask = optuna.samplers.GPSampler.sample_relative

    def heard(self: Any, study: optuna.Study, trial: FrozenTrial, asked: Any) -> dict[str, Any]:
        seen.append((study.get_trials(), dict(asked)))
        return ask(self, study, trial, asked)

    monkeypatch.setattr(optuna.samplers.GPSampler, "sample_relative", heard)
    searched = tiny(2)
    study = create("gp", searched, middle(searched))
    made = [step(study, searched, middle(searched)) for _ in range(12)]  # 10 of which are random
    shown, asked = seen[-1]
    assert len(seen) == 12
    for name, one in asked.items():
        number = name.endswith("l")
        assert isinstance(one, IntDistribution if number else CategoricalDistribution), name
    menus = searched.choices
    assert len(shown) == 12  # that which is asked for the last
    assert shown[-1].state == TrialState.RUNNING
    for one, choices, trial in zip(shown[:-1], made, study.get_trials(), strict=False):
        assert {name: menus[name][place] for name, place in one.params.items()} == choices
        assert (one.state, one.values) == (trial.state, trial.values)
    assert TrialState.FAIL in {one.state for one in shown}
    assert len({tuple(choices.values()) for choices in made}) == 12  # nothing twice

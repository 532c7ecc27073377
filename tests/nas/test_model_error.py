"""The predictor's known errors: their gradient, and that a foretold accuracy weighs less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize

from nas.belief import model as model_file
from nas.belief.knowledge import CAPACITY, Knowledge
from nas.belief.model import Data, Model
from nas.candidates import Candidates
from nas.objective import Objective
from nas.space import space


@pytest.fixture(scope="module")
def known() -> tuple[Data, np.ndarray]:
    candidates = Candidates(space("mbconv"), Objective(400e6))
    rng = np.random.default_rng(0)
    data = Knowledge(candidates)(candidates.draw(12, rng))[CAPACITY]
    return data, 0.5 + 0.02 * rng.standard_normal(12)


def test_the_gradient_knows_the_error(
    known: tuple[Data, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def watched(function: Any, start: Any, **options: Any) -> Any:
        asked.append((function, start))
        return minimize(function, start, **options)

    monkeypatch.setattr(model_file, "minimize", watched)
    Model(*known, np.linspace(0, 0.02, 12))
    function, start = asked[0]
    for at in (start, start + 0.3):
        slope = np.linalg.norm(function(at)[1])
        away = check_grad(lambda p: function(p)[0], lambda p: function(p)[1], at)
        assert away < 1e-4 * max(1.0, slope)


def test_an_uncertain_accuracy_moves_less(known: tuple[Data, np.ndarray]) -> None:
    data, accuracy = known
    raised = accuracy.copy()
    raised[0] += 0.1
    error = np.zeros(12)
    error[0] = 0.2
    plain, sure, unsure = Model(data, accuracy), Model(data, raised), Model(data, raised, error)
    first = data.take(np.array([0]))
    assert sure.mean(first)[0] > unsure.mean(first)[0]
    assert unsure.predict(first)[1][0] > plain.predict(first)[1][0]
    assert np.array_equal(Model(data, accuracy, np.zeros(12)).mean(data), plain.mean(data))

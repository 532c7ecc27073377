"""The reward, the window and the Pareto front against their definitions."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.objective import Objective
from nas.pareto import front, hypervolume

points = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), max_size=30)


def test_reward_of_efficientnet_b0() -> None:
    """ACC·(FLOPS/T)^-0.07 at 385.8M for T = 400M: a factor of 1.0025."""
    assert Objective(400e6).factor(385_814_752) == pytest.approx(1.0025, abs=5e-5)
    assert Objective(400e6).reward(0.771, 400e6) == 0.771
    # MnasNet, section 3: 5 % of accuracy for twice the latency is a fair exchange.
    assert Objective(1.0).reward(1.05, 2.0) == pytest.approx(1.0, abs=5e-4)


@given(st.floats(0.01, 1), st.floats(1e6, 1e12), st.floats(1e6, 1e12), st.floats(0.01, 1))
def test_no_target_changes_the_order(acc: float, t: float, cost: float, other: float) -> None:
    one, two = Objective(4e8), Objective(t)
    ratio = one.reward(acc, cost) / one.reward(other, 3e8)
    assert two.reward(acc, cost) / two.reward(other, 3e8) == pytest.approx(ratio)


def test_hard_and_two_sided() -> None:
    hard = Objective(4e8, aim="hard")
    assert hard.reward(0.7, 2e8) == 0.7
    assert hard.reward(0.7, 8e8) == 0.35
    two = Objective(4e8, w=0.0, over=-1.0)
    costs = np.array([1e8, 4e8, 8e8])
    assert two.reward(np.full(3, 0.7), costs) == pytest.approx([0.7, 0.7, 0.35])


def test_window() -> None:
    objective = Objective(4e8)
    assert list(objective.admits(np.array([1.9e8, 2e8, 4e8, 4.1e8]))) == [False, True, True, False]
    assert Objective(4e8, high=1.1).admits(4.3e8)


@given(st.lists(st.floats(1, 1e5), min_size=1), st.floats(0, 0.9), st.floats(1, 3))
def test_outside_is_nothing_inside(costs: list[float], low: float, high: float) -> None:
    objective = Objective(4e3, low=low, high=high)
    away = objective.outside(np.array(costs))
    inside = np.asarray(objective.admits(np.array(costs)))
    assert (away[inside] < 1e-9).all()
    for cost, one in zip(costs, away, strict=True):
        ends = low * 4e3 * math.exp(-one), high * 4e3 * math.exp(one)
        assert ends[0] * (1 - 1e-9) <= cost <= ends[1] * (1 + 1e-9)


def test_outside_is_symmetric_in_ratios() -> None:
    objective = Objective(4e8)
    assert objective.outside(np.array([1e8, 2e8, 3e8, 4e8, 8e8])) == pytest.approx(
        [math.log(2), 0, 0, 0, math.log(2)]
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"budget": 0.0},
        {"budget": math.nan},
        {"budget": 4e8, "aim": "best"},
        {"budget": 4e8, "low": 1.0},
        {"budget": 4e8, "w": math.nan},
    ],
)
def test_bad_objectives(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Objective(**bad)  # type: ignore[arg-type]


@given(points)
def test_front_equals_brute_force(drawn: list[tuple[int, int]]) -> None:
    accuracy, cost = [a for a, _ in drawn], [c for _, c in drawn]
    expected = []
    for i, (a, c) in enumerate(drawn):
        dominated = any(
            (a2 >= a and c2 <= c and (a2, c2) != (a, c)) or ((a2, c2) == (a, c) and j < i)
            for j, (a2, c2) in enumerate(drawn)
        )
        if not dominated:
            expected.append(i)
    assert front(accuracy, cost) == sorted(expected, key=lambda i: cost[i])


@given(points)
def test_hypervolume_counts_unit_squares(drawn: list[tuple[int, int]]) -> None:
    accuracy, cost = [a for a, _ in drawn], [c for _, c in drawn]
    squares = {(x, y) for a, c in drawn for x in range(0, a) for y in range(c, 6)}
    assert hypervolume(accuracy, cost, (0, 6)) == len(squares)


def test_numpys_numbers() -> None:
    """As a run records them."""
    found = Objective(np.float64(4e8), w=np.float32(-0.5), low=np.int64(0))
    assert found == Objective(4e8, w=-0.5, low=0)
    assert json.dumps(asdict(found)) == json.dumps(asdict(Objective(4e8, w=-0.5, low=0)))

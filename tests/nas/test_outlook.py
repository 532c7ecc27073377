"""The front that a belief expects: on the front, over the window, its band as wide as the doubt."""

from __future__ import annotations

import numpy as np
import pytest

from models.cost import cost
from models.spec import ArchSpec
from nas.belief.belief import Belief
from nas.belief.knowledge import Knowledge
from nas.belief.outlook import POINTS, expected_front
from nas.candidates import Candidates
from nas.objective import Objective
from nas.samplers.auto import ALONG
from nas.search import search
from nas.space import Space, space
from tests.nas.test_nas_search import layers_of, stub
from tests.nas.test_samplers import accuracy, middle, tiny

MBCONV = space("mbconv")


def believed(searched: Space, objective: Objective, count: int) -> tuple[Belief, Candidates]:
    candidates = Candidates(searched, objective)
    rows = candidates.draw(count, np.random.default_rng(0))
    truth = np.array([accuracy(searched.values(row), searched) for row in rows])
    return Belief(Knowledge(candidates), rows, truth), candidates


def test_it_is_the_best_of_a_tiny_space_under_every_limit() -> None:
    """Found by climbing, and by looking at all 324 networks."""
    searched = tiny(2)
    belief, candidates = believed(searched, middle(searched), 40)
    rows = np.array(list(np.ndindex(*searched.sizes)))
    rows = rows[candidates.admits(rows)]
    mean, costs = belief.mean(rows), candidates.costs(rows)
    front = expected_front(belief, candidates, rows[:0])
    limits = np.linspace(costs.min(), costs.max(), POINTS)
    most = [mean[costs <= limit].max() for limit in [*limits[:-1], np.inf]]
    assert [p.accuracy for p in front] == pytest.approx(sorted(set(np.clip(most, 0, 1))))


def test_it_rises_from_the_cheapest_to_the_best_within_its_band() -> None:
    belief, candidates = believed(MBCONV, Objective(400e6), 60)
    trained = candidates.draw(60, np.random.default_rng(0))
    front = expected_front(belief, candidates, trained)
    assert len(front) >= 6
    assert all(a.cost < b.cost and a.accuracy < b.accuracy for a, b in zip(front, front[1:]))  # noqa: B905, RUF007
    assert all(200e6 <= p.cost <= 400e6 and 0 <= p.low < p.accuracy < p.high <= 1 for p in front)
    assert front[0].cost < 240e6
    others = candidates.draw(3000, np.random.default_rng(1))
    assert front[-1].accuracy >= belief.mean(others).max()


def test_a_cost_that_is_slow_has_a_front_of_trained_networks() -> None:
    found = search(MBCONV, stub, 16.0, 6, cost=layers_of)
    costs = {one.cost["cost"] for one in found.trials}
    assert found.expected_front
    assert {point.cost for point in found.expected_front} <= costs


def test_a_run_of_few_trainings_expects_no_front() -> None:
    assert search(MBCONV, stub, trials=2).expected_front == ()
    assert search(MBCONV, stub, trials=4, sampler="random").expected_front == ()


def paid(spec: ArchSpec, seed: int) -> float:
    """Ever more accuracy for ever more cost, and something for attention."""
    attention = sum(bool(stage.se) for stage in spec.stages)
    return 0.5 + 0.06 * float(np.log(cost(spec).macs / 200e6)) + 0.001 * attention


@pytest.mark.parametrize("aim", ["reward", "hard"])
def test_a_default_run_looks_along_the_window(aim: str) -> None:
    """Six of 30 trainings, for the front's sake, at as many costs, far from one another; the others
    are where the reward promises most."""
    found = search(MBCONV, paid, trials=30, aim=aim)
    shares = np.array([one.cost["cost"] for one in found.trials]) / 400e6
    along = np.arange(30) % ALONG == ALONG - 1
    assert along.sum() == 6
    assert len(np.unique(shares[along])) == 6
    assert np.ptp(shares[along]) > 0.2
    assert np.median(shares[~along]) > 0.9 > np.median(shares[along])
    assert len(found.front) >= 6

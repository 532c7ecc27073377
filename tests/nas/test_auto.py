"""The default sampler: its acquisition in closed form, its model, and that it finds the best."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from models.plan import plan
from nas.belief.belief import Belief
from nas.belief.features import Features
from nas.belief.knowledge import CAPACITY, NONE, Knowledge
from nas.belief.model import Data, Model
from nas.candidates import Candidates
from nas.objective import Objective
from nas.pareto import hypervolume
from nas.samplers import outcome, recommend, sampler
from nas.samplers.acquisition import expected_hypervolume_improvement, expected_improvement
from nas.space import Space, space
from tests.nas.test_samplers import accuracy, create, middle, step, tiny


def test_expected_improvement_against_sampling() -> None:
    rng = np.random.default_rng(0)
    mean, sd, best = np.array([0.5, 0.6, 0.2]), np.array([0.1, 0.05, 0.2]), 0.55
    drawn = mean + sd * rng.standard_normal((400_000, 3))
    sampled = np.maximum(drawn - best, 0).mean(0)
    # Six standard errors of a mean of 400,000 gains.
    assert expected_improvement(mean, sd, best) == pytest.approx(sampled, abs=6 * 0.1 / 632)


@pytest.mark.parametrize("seed", range(5))
def test_expected_hypervolume_improvement_against_sampling(seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = rng.uniform(0.3, 0.8, 6), rng.uniform(1, 4, 6)
    worst = (0.4, 3.5)
    mean, sd, cost = 0.65, 0.1, float(rng.uniform(1, 3.4))
    base = hypervolume(*known, worst)
    gains = [
        hypervolume(np.append(known[0], drawn), np.append(known[1], cost), worst) - base
        for drawn in mean + sd * rng.standard_normal(4000)
    ]
    found = expected_hypervolume_improvement(
        np.array([mean]), np.array([sd]), np.array([cost]), known, worst
    )
    assert found[0] == pytest.approx(np.mean(gains), abs=6 * np.std(gains) / 4000**0.5 + 1e-9)


def test_no_hypervolume_is_expected_of_a_network_that_is_too_dear() -> None:
    nothing = expected_hypervolume_improvement(
        np.array([0.9]), np.array([0.1]), np.array([5.0]), (np.empty(0), np.empty(0)), (0.0, 4.0)
    )
    assert nothing[0] == 0


def trained(count: int) -> tuple[Knowledge, np.ndarray, np.ndarray]:
    searched = space("mbconv")
    candidates = Candidates(searched, Objective(400e6))
    rows = candidates.draw(count, np.random.default_rng(0))
    truth = np.array([accuracy(searched.values(row), searched) for row in rows])
    return Knowledge(candidates), rows, truth


def test_the_model_learns_and_knows_its_noise() -> None:
    see, rows, truth = trained(160)
    noise = 0.01 * np.random.default_rng(1).standard_normal(60)
    for view in (CAPACITY, NONE):
        model = Model(see(rows[:60])[view], truth[:60] + noise)
        check(model, see(rows[60:])[view], truth[60:])


def check(model: Model, data: Data, truth: np.ndarray) -> None:
    mean, sd = model.predict(data)
    error = truth - mean
    assert 1 - (error**2).mean() / truth.var() > 0.5
    assert np.mean(np.abs(error) < 2 * sd) > 0.8
    assert model.deviation == pytest.approx(0.01, rel=0.5)


def test_ever_more_capacity_is_seen_to_gain_ever_less() -> None:
    see, rows, _ = trained(200)
    data = see(rows)[CAPACITY]
    guess = data.guess
    gain = 0.6 + 0.02 * (1 - np.exp(-guess))
    mean = Model(data.take(np.arange(40)), gain[:40]).mean(data)[40:]
    starved, full = (np.polyfit(guess[40:][part], mean[part], 1)[0]
                     for part in (guess[40:] < -0.5, guess[40:] > 1))  # fmt: skip
    assert full < 0.1 * starved


def test_what_is_believed_lies_between_the_trainings_and_the_guess() -> None:
    see, rows, truth = trained(60)
    known, new = rows[:40], rows[40:]
    told = 0.9 - truth[:40]  # trainings that contradict what parameters say
    full, half, least = (Belief(see, known, told, trust) for trust in (None, 0.5, 1e-9))
    assert (Belief(see, known, told, 1.0).mean(new) == full.mean(new)).all()
    assert (np.argsort(least.mean(new)) == np.argsort(see(new)[CAPACITY].guess)).all()
    assert half.mean(new) == pytest.approx((full.mean(new) + least.mean(new)) / 2, abs=1e-6)
    assert half.predict(new)[1] == pytest.approx(full.predict(new)[1] / 2)


@pytest.mark.parametrize("trust", [0, -1, 1.5, float("nan")])
def test_trust_is_a_share(trust: float) -> None:
    with pytest.raises(ValueError, match="trust"):
        sampler("auto", tiny(), Objective(1e12, low=0), seed=0, trust=trust)


def test_the_gradient_of_the_fit_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.optimize import check_grad

    from nas.belief import model

    checked = []

    def minimize(function, start, **_):  # type: ignore[no-untyped-def]
        at = start + 0.3
        slope = np.linalg.norm(function(at)[1])
        checked.append(check_grad(lambda p: function(p)[0], lambda p: function(p)[1], at) / slope)
        raise StopIteration

    monkeypatch.setattr(model, "minimize", minimize)
    see, rows, truth = trained(12)
    with pytest.raises(StopIteration):
        Model(see(rows)[CAPACITY], truth)
    assert checked[0] < 1e-4


def test_believing_moves_no_mean_and_lowers_doubt() -> None:
    see, rows, truth = trained(30)
    belief = Belief(see, rows[:20], truth[:20])
    mean, sd = belief.predict(rows[20:])
    belief.believe(rows[20:22])
    after, less = belief.predict(rows[20:])
    assert after == pytest.approx(mean, abs=1e-9)
    assert np.all(less <= sd + 1e-9)
    assert less[0] < sd[0]


def test_features_of_a_constant_choice_and_of_words() -> None:
    searched = tiny(2)
    groups = Features(Candidates(searched, middle(searched)))(
        searched.random(9, np.random.default_rng(0))
    )
    assert groups["choices"].shape == (9, 2 * (3 + 3))  # op is also one-hot, skip has two words
    assert all(np.isfinite(group).all() for group in groups.values())


def best(searched: Space, objective: Objective) -> float:
    rows = np.array(list(np.ndindex(*searched.sizes)))
    costs = searched.costs(rows).macs.astype(float)
    inside = objective.admits(costs)
    found = [accuracy(searched.values(row), searched) for row in rows[inside]]
    return float(objective.reward(np.array(found), costs[inside]).max())


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_best_of_a_tiny_space(seed: int) -> None:
    """324 candidates, 20 trainings."""
    searched = tiny(2)
    objective = middle(searched)
    study = create("auto", searched, objective, seed)
    for _ in range(20):
        step(study, searched, objective)
    assert study.best_value == pytest.approx(best(searched, objective), abs=1e-12)


def test_the_recommended_network_is_not_the_luckiest() -> None:
    """One poor network was lucky: far more so than the noise of the others allows."""
    searched, objective = space("mbconv"), Objective(400e6)
    candidates = Candidates(searched, objective)
    rows = candidates.draw(40, np.random.default_rng(0))
    truth = np.array([accuracy(searched.values(row), searched) for row in rows])
    costs = searched.costs(rows).macs.astype(float)
    rewards = objective.reward(truth, costs)
    lucky = int(np.argsort(rewards)[5])
    seen = truth + 0.003 * np.random.default_rng(1).standard_normal(40)
    seen[lucky] = truth.max() + 0.001
    study = filled(searched, objective, rows, seen)
    number = recommend(study, searched, objective)
    assert number != lucky
    assert rewards[number] > np.quantile(rewards, 0.8)


def filled(
    searched: Space, objective: Objective, rows: np.ndarray, seen: np.ndarray
) -> optuna.Study:
    """A study in which ``rows`` were trained."""
    study = create("auto", searched, objective)
    menus = {name: CategoricalDistribution(v) for name, v in searched.choices.items()}
    costs = searched.costs(rows).macs.astype(float)
    study.add_trials(
        optuna.trial.create_trial(
            params=searched.values(row), distributions=menus,
            values=objective.values(float(one), float(cost)),
            user_attrs=outcome(float(one), float(cost)),
        )
        for row, one, cost in zip(rows, seen, costs, strict=True)
    )  # fmt: skip
    return study


def test_recommend_without_and_with_few_trials() -> None:
    searched, objective = space("mbconv"), Objective(400e6)
    with pytest.raises(ValueError, match="no trial"):
        recommend(create("auto", searched, objective), searched, objective)
    rows = Candidates(searched, objective).draw(2, np.random.default_rng(0))
    study = filled(searched, objective, rows, np.array([0.5, 0.9]))
    assert recommend(study, searched, objective) == 1


def test_a_batch_holds_no_network_twice() -> None:
    """Eight workers: what runs is believed, so the next proposals look elsewhere."""
    searched, objective = space("mbconv"), Objective(400e6)
    study = create("auto", searched, objective)
    for _ in range(6):
        step(study, searched, objective)
    specs = []
    for _ in range(8):
        trial = study.ask()
        chosen = {n: trial.suggest_categorical(n, v) for n, v in searched.choices.items()}
        specs.append(plan(searched.spec(chosen)))
    assert len(set(specs)) == 8

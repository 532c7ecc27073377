"""The surface: against closed forms, on surfaces that are known, and what it says of confidence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_t

from scaling_search.surface.regression import (
    NoisePrior,
    Posterior,
    Trainings,
    _conjugate,
    fit,
    slope_to,
)
from scaling_search.surface.simplex import Array, basis, coefficients, mesh
from scaling_search.surface.surface import Surface

OPTIMUM = np.array([0.3, 0.4, 0.3])
EXACT = NoisePrior(0.5, 1e-4)  # trainings that are known to have next to no noise


def bowl(at: Array) -> Array:
    return 0.8 - 0.1 * ((at - OPTIMUM) ** 2).sum(axis=1)


def trainings(noise: float, seeds: int = 2, count: int = 30, seed: int = 0) -> Trainings:
    rng = np.random.default_rng(seed)
    at = np.concatenate([rng.dirichlet((1, 1, 1), size=count)] * seeds)
    repeats = np.repeat(np.arange(seeds), count).astype(float)
    accuracy = bowl(at) + rng.normal(0, noise, len(at)) if noise else bowl(at)
    return Trainings(at, np.zeros(len(at)), repeats, accuracy)


def test_conjugate_regression_against_the_textbook() -> None:
    rng = np.random.default_rng(3)
    design, values = rng.normal(size=(12, 4)), rng.normal(size=12)
    precisions = np.array([[0.5, 1.0, 2.0, 4.0], [3.0, 0.2, 0.1, 1.0]])
    found = _conjugate(design, values, precisions, EXACT)
    for row, precision in enumerate(precisions):
        matrix = design.T @ design + np.diag(precision)
        np.testing.assert_allclose(found.means[row], np.linalg.solve(matrix, design.T @ values))
        factor = found.factors[row]
        np.testing.assert_allclose(factor @ factor.T, np.linalg.inv(matrix), atol=1e-12)
    assert found.weights[0] / found.weights[1] == pytest.approx(
        _marginal(design, values, precisions[0]) / _marginal(design, values, precisions[1])
    )


def _marginal(design: Array, values: Array, precision: Array) -> float:
    """The density of the values with coefficients and σ² integrated out: multivariate t."""
    shape, scale = 0.25, 0.25 * 1e-8
    spread = np.eye(len(values)) + design @ np.diag(1 / precision) @ design.T
    law = multivariate_t(shape=scale / shape * spread, df=2 * shape)
    return float(law.pdf(values))


def test_draws_have_the_posteriors_moments() -> None:
    posterior = fit(trainings(0.01))
    draws = posterior.draw(40_000, np.random.default_rng(0))
    deviation = np.sqrt(np.diag(posterior.covariance))
    # Six standard errors of a mean of 40,000 draws, the settings' own spread apart.
    assert np.all(np.abs(draws.mean(axis=0) - posterior.mean) < 0.03 * deviation + 1e-4)


def test_a_quadratic_without_noise_is_recovered() -> None:
    surface = Surface(fit(trainings(0.0), noise=EXACT))
    np.testing.assert_allclose(surface.mean(mesh()), bowl(mesh()), atol=1e-4)
    np.testing.assert_allclose(surface.optimum, OPTIMUM, atol=0.021)
    assert surface.region.size < 0.01


def test_noise_widens_the_region_and_more_trainings_narrow_it() -> None:
    sizes = [Surface(fit(trainings(noise))).region.size for noise in (0.001, 0.005, 0.02)]
    assert sizes == sorted(sizes)
    assert Surface(fit(trainings(0.01, seeds=8))).region.size < sizes[2]


def test_the_region_holds_the_optimum_and_its_bounds() -> None:
    surface = Surface(fit(trainings(0.005)))
    region = surface.region
    place = int(np.argmin(((mesh() - surface.optimum) ** 2).sum(axis=1)))
    assert region.inside[place]
    assert np.all(region.low <= surface.optimum)
    assert np.all(surface.optimum <= region.high)
    assert region.size == pytest.approx(region.inside.mean())
    assert surface.deficit(surface.optimum[None])[0] == 0
    assert surface.regret >= 0


def test_intervals_are_the_shortest_that_hold_nine_in_ten_optima() -> None:
    surface = Surface(fit(trainings(0.02)))
    places = mesh()[surface.optima]
    low, high = surface.interval(mesh())
    held = ((low <= places) & (places <= high)).mean(axis=0)
    equal_tailed = np.diff(np.quantile(places, (0.05, 0.95), axis=0), axis=0)[0]
    assert np.all(held >= 0.9)
    assert np.all(high - low <= equal_tailed + 1e-9)


def test_an_optimum_near_the_edge_stays_within_its_intervals() -> None:
    corner = np.array([0.04, 0.92, 0.04])
    held = []
    for seed in range(40):
        data = trainings(0.01, seed=seed)
        noise = data.accuracy - bowl(data.at)
        moved = 0.8 - 0.1 * ((data.at - corner) ** 2).sum(axis=1) + noise
        fitted = fit(Trainings(data.at, data.excess, data.seeds, moved))
        low, high = Surface(fitted).interval(mesh())
        held.append((low <= corner) & (corner <= high))
    assert np.all(np.mean(held, axis=0) >= 0.8)


def test_an_effect_of_the_seed_is_not_taken_for_the_surfaces() -> None:
    data = trainings(0.002, seeds=1)
    half = len(data.at) // 2
    order = np.argsort(data.at[:, 0])  # the shallow half with one seed, the deep half with another
    seeds = np.zeros(len(data.at))
    seeds[order[half:]] = 1
    seeds[order[half - 8 : half]] = 1
    shifted = data.accuracy + 0.03 * seeds
    surface = Surface(fit(Trainings(data.at, data.excess, seeds, shifted)))
    np.testing.assert_allclose(surface.optimum, OPTIMUM, atol=0.09)


def test_cost_beyond_the_target_is_taken_out_by_the_slope() -> None:
    data = trainings(0.0)
    excess = np.random.default_rng(1).uniform(-0.03, 0.03, len(data.at))
    dearer = Trainings(data.at, excess, data.seeds, data.accuracy + 0.2 * excess)
    surface = Surface(fit(dearer, slope=0.2, noise=EXACT))
    np.testing.assert_allclose(surface.mean(mesh()), bowl(mesh()), atol=1e-4)
    assert slope_to(0.8, 0.7, 2.0) == pytest.approx(0.05 / np.log(2))
    assert slope_to(0.7, 0.8, 2.0) == 0
    assert slope_to(0.7, 0.8, 0.5) > 0
    assert slope_to(0.8, None, 2.0) == 0


def test_differences_of_surfaces() -> None:
    surface = Surface(fit(trainings(0.002)))
    corner = np.array([0.0, 0.0, 1.0])
    difference, low, high = surface.difference(OPTIMUM, corner)
    assert low < difference < high
    truth = float((bowl(OPTIMUM[None]) - bowl(corner[None]))[0])
    assert low - 0.002 < truth < high + 0.002
    back = surface.difference(corner, OPTIMUM)
    assert back == pytest.approx((-difference, -high, -low))


def test_the_same_trainings_and_seed_give_the_same_answer() -> None:
    one, other = (Surface(fit(trainings(0.01)), seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.region.inside, other.region.inside)
    assert one.difference(OPTIMUM, mesh()[0]) == other.difference(OPTIMUM, mesh()[0])


def test_one_training_is_enough_to_say_nothing() -> None:
    data = Trainings(OPTIMUM[None], np.zeros(1), np.zeros(1), np.array([0.5]))
    posterior: Posterior = fit(data)
    assert Surface(posterior).region.size > 0.3
    with pytest.raises(ValueError, match="nothing to fit"):
        fit(Trainings(OPTIMUM[None][:0], np.zeros(0), np.zeros(0), np.zeros(0)))


def test_few_pictures_leave_more_doubt() -> None:
    assert NoisePrior.of_pictures(0.8, 1000).deviation == pytest.approx((0.16 / 1000) ** 0.5, 1e-2)
    assert NoisePrior.of_pictures(1.0, 100).deviation > 0  # all right says little about the next
    data = trainings(0.0, seeds=1, count=7)
    doubts = [fit(data, noise=NoisePrior.of_pictures(0.8, n)).noise for n in (10**6, 1000, 100)]
    assert doubts == sorted(doubts)
    repeated = trainings(0.002, seeds=8)
    few = fit(repeated, noise=NoisePrior.of_pictures(0.8, 1000)).noise
    assert few**0.5 == pytest.approx(0.002, rel=0.5)  # 240 trainings say more than the pictures


def test_coefficients_of_shares_multiply_to_the_ratio() -> None:
    for ratio in (0.5, 2.0, 4.0):
        assert coefficients(OPTIMUM, ratio).product == pytest.approx(ratio)
    assert basis(OPTIMUM[None]).shape == (1, 15)
